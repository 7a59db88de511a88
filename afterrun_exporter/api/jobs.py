"""Jobs and their runs, to be read."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.api.queries import choice, number, read_query
from afterrun_exporter.api.shapes import job_object, run_object, whole_job_object
from afterrun_exporter.clock import breathe
from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.catalogue import MAX_SUGGESTIONS
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.errors import UnknownJobError
from afterrun_exporter.service import Service
from afterrun_exporter.storage.store import Store

#: Of anything, in one answer.
MOST: Final = 1000

#: Jobs looked at before everybody else gets a turn.
STEP: Final = 500


def jobs(service: Service) -> Handler:
    """Return the handler for the list of jobs, by name, a page at a time."""

    async def handle(request: web.Request) -> web.Response:
        query = read_query(request.query, "state", "limit", "after")
        state = choice(query, "state", Status)
        limit = number(query, "limit", 100, MOST)
        found = await _page(service, query.get("after", ""), state, limit + 1)
        page = found[:limit]
        answer = {
            "jobs": [job_object(*one, service.settings) for one in page],
            "next": page[-1][0].name if len(found) > limit else None,
        }
        return web.json_response(answer)

    return handle


def job(service: Service) -> Handler:
    """Return the handler for one job."""

    async def handle(request: web.Request) -> web.Response:
        read_query(request.query)
        found = known(service, request.match_info["job"])
        return web.json_response(whole_job_object(*found, service.settings))

    return handle


def runs(service: Service, store: Store) -> Handler:
    """Return the handler for the last runs of a job, the newest first."""

    async def handle(request: web.Request) -> web.Response:
        query = read_query(request.query, "limit")
        limit = number(query, "limit", 20, MOST)
        found, _ = known(service, request.match_info["job"])
        last = await store.runs(found.name, limit)
        answer: dict[str, Any] = {
            "job": found.name,
            "runs": [run_object(run) for run in last],
        }
        return web.json_response(answer)

    return handle


def known(service: Service, name: str) -> tuple[Job, JobState]:
    """Return the job *name* with its state; raise UnknownJobError for any other."""
    found, state = service.job(name), service.state(name)
    if found is None or state is None:
        raise UnknownJobError(f"unknown job {name[:128]!r}{_suggestion(service, name)}")
    return found, state


def _suggestion(service: Service, name: str) -> str:
    # Among many names a near miss is looked for too long.
    few = [job.name for job, _ in islice(service.watched(), MAX_SUGGESTIONS + 1)]
    if len(few) <= MAX_SUGGESTIONS and (near := get_close_matches(name, few, n=1)):
        return f"; did you mean {near[0]!r}?"
    return ": `afterrun jobs` or GET /api/v1/jobs lists those there are"


async def _page(
    service: Service, after: str, state: str | None, limit: int
) -> list[tuple[Job, JobState]]:
    names = sorted(job.name for job, _ in service.watched() if job.name > after)
    page: list[tuple[Job, JobState]] = []
    for at in range(0, len(names), STEP):
        found = _watched(service, names[at : at + STEP])
        page += (one for one in found if state is None or status(*one) == state)
        if len(page) >= limit:
            break
        # There may be 100,000 of them, and pings are to be answered meanwhile.
        await breathe()
    return page[:limit]


def _watched(service: Service, names: list[str]) -> Iterator[tuple[Job, JobState]]:
    for name in names:
        found, state = service.job(name), service.state(name)
        if found is not None and state is not None:
            yield found, state
