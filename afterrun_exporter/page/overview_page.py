"""The overview of all jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.job_query import BROKEN, UNOBSERVED
from afterrun_exporter.page import overview_rows as shapes
from afterrun_exporter.page import query
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.fallible_reads import Reading
from afterrun_exporter.page.forms import DONE
from afterrun_exporter.page.job_index import Entry, SearchResult, most_urgent
from afterrun_exporter.page.reasons import reasons
from afterrun_exporter.page.rendering import page
from afterrun_exporter.page.shared_causes import members
from afterrun_exporter.page.sorting import BY_NAME, order_of
from afterrun_exporter.page.strips import LENGTH
from afterrun_exporter.page.times import span
from afterrun_exporter.storage.store import AlertFilter, Ended

#: The number of last runs that are searched for the reason of a condition.
RECENT: Final = 3


async def overview(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/``."""
    listing = query.read(request.query)
    job_query = listing.query
    index, now, reading = context.index, context.clock.now(), Reading()
    await index.refresh()
    wrong = await index.broken_states()
    pages, entries = await _entries(context, listing)
    shared: list[shapes.Shared] = []
    featured: list[Entry] = []
    more_causes = 0
    if listing == query.FIRST:
        causes = await context.causes.of(
            index.broken, context.service, context.store, reading
        )
        featured = await most_urgent(causes.alone, shapes.MOST)
        shared = [
            shapes.shared_of(cause, await members(cause), now)
            for cause in causes.shared
        ]
        more_causes = causes.more + len(causes.alone) - len(featured)
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
        span=span,
        rows=await _rows(context, entries, now, endings),
        broken=await _broken(context, featured, now, endings, reading),
        broken_count=count,
        shared=shared,
        more_causes=more_causes,
        groups=groups,
        jobs=jobs,
        headline=shapes.headline(count, jobs),
        announcement=shapes.announcement(count, jobs, groups, unobserved),
        unobserved=unobserved,
        recent=context.service.recent_figures or "",
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
    context: Context, listing: query.Listing
) -> tuple[shapes.Pages, list[Entry]]:
    """Return the matching jobs of the page, or of the last page if there are fewer."""
    index, predicate, sort = context.index, listing.query.predicate, listing.sort

    async def find(start: int) -> SearchResult:
        if sort == BY_NAME:
            return await index.find(predicate, start, query.PER_PAGE)
        order = order_of(sort, context.service.settings)
        return await index.find_sorted(predicate, start, query.PER_PAGE, order)

    start = (listing.page - 1) * query.PER_PAGE
    result = await find(start)
    pages = shapes.Pages(listing.query, listing.page, result.total, sort)
    if pages.start != start:
        result = await find(pages.start)
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
