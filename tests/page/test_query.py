from __future__ import annotations

import pytest
from multidict import MultiDict

from afterrun_exporter.core.job_query import JobQuery
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.query import address, read


@pytest.mark.parametrize("query", [{}, {"q": " ", "state": "", "page": "3"}])
def test_an_empty_form_asks_for_every_job(query: dict[str, str]) -> None:
    asked = read(MultiDict(query)).query

    assert asked.predicate is None
    assert not asked.narrows


def test_the_address_says_what_is_asked_and_nothing_else() -> None:
    asked = JobQuery(q="a b&c", state="missed", tag=("x", "y"))

    assert address(asked, 3) == "?q=a+b%26c&state=missed&tag=x&tag=y&page=3"
    assert address(JobQuery()) == "?"
    assert address(JobQuery(), 2, "-due") == "?sort=-due&page=2"
    assert read(MultiDict([("sort", "-due"), ("page", "2")])) == (JobQuery(), 2, "-due")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([("state", "borken")], "unknown state 'borken'; did you mean 'broken'?"),
        ([("stat", "ok")], "unknown parameter 'stat'; did you mean 'state'?"),
        ([("q", "a"), ("q", "b")], "parameter 'q' is sent 2 times: send it once"),
        ([("sort", "dua")], "unknown sort 'dua'; did you mean 'due'?"),
        ([("page", "0")], "page '0' is not a number from 1 to 1000000"),
        ([("page", "9" * 30)], "is not a number from 1 to 1000000"),
        ([("page", "\N{ARABIC-INDIC DIGIT ONE}")], "is not a number"),
        ([("q", "x" * 201)], "the search has 201 characters: use at most 200"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    query: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read(MultiDict(query))

    assert message in str(caught.value)
