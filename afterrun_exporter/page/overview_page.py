"""The overview of all jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.job_query import BROKEN, UNOBSERVED, JobQuery
from afterrun_exporter.page import overview as shapes
from afterrun_exporter.page import query
from afterrun_exporter.page.context import Context, Reading
from afterrun_exporter.page.forms import DONE
from afterrun_exporter.page.index import Entry
from afterrun_exporter.page.reasons import reasons
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.strips import LENGTH
from afterrun_exporter.storage.store import AlertFilter, Ended

#: The number of last runs that are searched for the reason of a condition.
RECENT: Final = 3


async def overview(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/``."""
    job_query, number = query.read(request.query)
    index, now, reading = context.index, context.clock.now(), Reading()
    await index.refresh()
    urgent, wrong = await index.most_urgent(shapes.MOST)
    pages, entries = await _entries(context, job_query, number)
    featured = [] if job_query.narrows or number > 1 else urgent
    names = {one.job.name for one in (*entries, *featured)}
    endings = await reading.or_else(context.store.endings(names, LENGTH), {})
    count, jobs = index.counts[BROKEN], len(index.entries)
    groups = shapes.groups_of(wrong)
    unobserved = index.counts[UNOBSERVED]
    return await page(
        "overview.html",
        **context.site.common(request, now),
        query=job_query,
        pages=pages,
        rows=await _rows(context, entries, now, endings),
        broken=await _broken(context, featured, now, endings, reading),
        broken_count=count,
        groups=groups,
        jobs=jobs,
        headline=shapes.headline(count, jobs),
        announcement=shapes.announcement(count, jobs, groups, unobserved),
        unobserved=unobserved,
        states=shapes.states_of(index.counts, job_query),
        choices={
            name: (values, shapes.choices_of(index.choices, name, values))
            for name, values in (
                ("label", job_query.label),
                ("project", (job_query.project,)),
                ("tag", job_query.tag),
            )
        },
        done=DONE.get(request.query.get("done", ""), ""),
        unreadable=reading.failed,
        url=context.site.url(request),
    )


async def _entries(
    context: Context, job_query: JobQuery, number: int
) -> tuple[shapes.Pages, list[Entry]]:
    """Return the matching jobs of the page, or of the last page if there are fewer."""
    start, predicate = (number - 1) * query.PER_PAGE, job_query.predicate
    result = await context.index.find(predicate, start, query.PER_PAGE)
    pages = shapes.Pages(job_query, number, result.total)
    if pages.start != start:
        result = await context.index.find(predicate, pages.start, query.PER_PAGE)
    return pages, result.entries


async def _rows(
    context: Context,
    entries: Sequence[Entry],
    now: float,
    endings: Mapping[str, Sequence[Ended]],
) -> list[shapes.Row]:
    rows, settings = [], context.service.settings
    async for entry in cooperatively(entries):
        # Jobs that were removed meanwhile are left out.
        if (job_and_state := context.service.job_and_state(entry.job.name)) is not None:
            past = endings.get(entry.job.name, ())
            rows.append(shapes.row_of(*job_and_state, now, past, settings))
    return rows


async def _broken(
    context: Context,
    entries: Sequence[Entry],
    now: float,
    endings: Mapping[str, Sequence[Ended]],
    reading: Reading,
) -> list[shapes.Broken]:
    store = context.store
    questions = [
        asyncio.gather(
            store.runs(one.job.name, RECENT),
            store.alerts(AlertFilter(job=one.job.name, open=True)),
        )
        for one in entries
    ]
    answers = [await reading.or_else(one, ([], [])) for one in questions]
    rows = await _rows(context, entries, now, endings)
    by_name = {
        one.job.name: answer for one, answer in zip(entries, answers, strict=True)
    }
    return [
        shapes.Broken(row=row, reasons=why)
        for row in rows
        if (state := context.service.state(row.job.name)) is not None
        and (why := reasons(row.job, state, now, *by_name[row.job.name]))
    ]
