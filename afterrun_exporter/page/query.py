"""The address of the overview: a query for jobs, and a page number."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Final, NamedTuple
from urllib.parse import urlencode

from multidict import MultiMapping

from afterrun_exporter.core.did_you_mean import did_you_mean, unknown_value
from afterrun_exporter.core.job_query import JobQuery, parse_query
from afterrun_exporter.errors import RequestError
from afterrun_exporter.page.sorting import BY_NAME, SORTS

#: Jobs on a page.
PER_PAGE: Final = 50
#: The maximum page number.
LAST: Final = 1_000_000

_LISTS: Final = ("label", "tag")
_FILTERS: Final = tuple(field.name for field in fields(JobQuery))


class Listing(NamedTuple):
    """A page of the list of jobs."""

    query: JobQuery
    page: int = 1
    #: The order, one of `SORTS`.
    sort: str = BY_NAME


#: The overview without filters.
FIRST: Final = Listing(JobQuery())


def address(query: JobQuery, page: int = 1, sort: str = BY_NAME) -> str:
    """Return the relative address of a page of the jobs that match *query*."""
    parameters = {name: value for name, value in asdict(query).items() if value}
    if sort != BY_NAME:
        parameters["sort"] = sort
    if page > 1:
        parameters["page"] = page
    return f"?{urlencode(parameters, doseq=True)}"


def read(parameters: MultiMapping[str]) -> Listing:
    """Return the page of the list for the parameters of an address.

    Raises RequestError for a parameter that is unknown, repeated or out of range.
    """
    names = (*_FILTERS, "page", "sort", "done")
    for name in parameters:
        if name not in names:
            hint = did_you_mean(name, names)
            raise RequestError(f"unknown parameter {name[:60]!r}{hint}")
        times = len(parameters.getall(name))
        if times > 1 and name not in _LISTS:
            raise RequestError(
                f"parameter {name!r} is sent {times} times: send it once"
            )
    try:
        query = parse_query(
            q=parameters.get("q", ""),
            state=parameters.get("state", ""),
            label=parameters.getall("label", ()),
            project=parameters.get("project", ""),
            tag=parameters.getall("tag", ()),
        )
    except ValueError as error:
        raise RequestError(str(error)) from None
    sort = parameters.get("sort", "") or BY_NAME
    if sort not in SORTS:
        raise RequestError(unknown_value("sort", sort, SORTS))
    return Listing(query, page_number(parameters.get("page", "")), sort)


def page_number(text: str) -> int:
    """Return the page number in *text*; 1 if it is empty."""
    if not text:
        return 1
    is_number = text.isascii() and text.isdigit() and len(text) <= 7
    if not (is_number and 1 <= int(text) <= LAST):
        raise RequestError(f"page {text[:60]!r} is not a number from 1 to {LAST}")
    return int(text)
