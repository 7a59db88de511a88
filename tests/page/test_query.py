from __future__ import annotations

import pytest
from multidict import MultiDict

from afterrun_exporter.core.model import Job
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.index import entry_of
from afterrun_exporter.page.query import JobQuery, read
from tests.core.jobs import Night

JOB = Job(
    name="nightly-backup",
    description="Dump the Database",
    labels=(("team", "data"),),
    project="infra",
    tags=("backup",),
)


@pytest.mark.parametrize(
    ("query", "held"),
    [
        ({"q": "backup"}, True),
        ({"q": "DATABASE night"}, True),
        ({"q": "backup weekly"}, False),
        ({"state": "new"}, True),
        ({"state": "broken"}, False),
        ({"label": "team=data"}, True),
        ({"label": "team=sales"}, False),
        ({"label": "team"}, False),
        ({"label": "=data"}, False),
        ({"project": "data"}, False),
        ({"tag": "back"}, False),
        ({"project": "infra", "tag": "backup"}, True),
        ({"project": "infra", "tag": "weekly"}, False),
        ({"q": "backup", "state": "ok"}, False),
    ],
)
def test_a_job_is_found_by_all_that_is_asked(query: dict[str, str], held: bool) -> None:
    holds = read(MultiDict(query)).holds

    assert holds is not None
    assert holds(entry_of(JOB, Night().state)) is held


@pytest.mark.parametrize("query", [{}, {"q": " ", "state": "", "page": "3"}])
def test_an_empty_form_asks_for_every_job(query: dict[str, str]) -> None:
    asked = read(MultiDict(query))

    assert asked.holds is None
    assert not asked.narrows


def test_the_address_says_what_is_asked_and_nothing_else() -> None:
    asked = JobQuery(q="a b&c", state="missed")

    assert asked.address(page=3) == "?q=a+b%26c&state=missed&page=3"
    # Another filter starts at the first page.
    assert JobQuery(q="x", page=7).address(tag="t") == "?q=x&tag=t"
    assert JobQuery().address() == "?"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([("state", "borken")], "unknown state 'borken': use one of broken, missed"),
        ([("stat", "ok")], "unknown parameter 'stat'; did you mean 'state'?"),
        ([("q", "a"), ("q", "b")], "parameter 'q' is sent 2 times: send it once"),
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
