"""The runbook of this version as a page, and links to the runbooks of jobs."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urljoin

from aiohttp import web
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from afterrun_exporter import conventions as names
from afterrun_exporter.core.state import JobState
from afterrun_exporter.page.context import Context
from afterrun_exporter.page.job_page import unknown_job
from afterrun_exporter.page.reasons import ORDER
from afterrun_exporter.page.rendering import page

#: Packages contain it; in a working copy it is among the documents.
_PACKAGED: Final = files("afterrun_exporter.page") / "runbook.md"
#: The name of a job.
_PLACEHOLDER: Final = re.compile(r"\bJOB\b")
_EXPLAINED: Final = "<code>JOB</code> stands for the name of the job."
_ALERT: Final = re.compile(r"\bALERT\b")
_ALERT_EXPLAINED: Final = "<code>ALERT</code> stands for the name of the alert."
#: The address of the daemon in commands.
_DAEMON: Final = "localhost:10707"
_DOCUMENT: Final = Path(__file__).parents[2] / "docs/runbook.md"

_QUERY: Final = '<code class="language-promql">'
_IN_PROMETHEUS: Final = '<p class="where">In Prometheus:</p>\n'
_COMMAND: Final = '<pre tabindex="0" role="region" aria-label="To paste">'


async def runbook(context: Context, request: web.Request) -> web.Response:
    """Return the page at ``/runbook``, with a section for each alert.

    Its commands are about the job in the query, if there is one.
    """
    job_and_state = context.service.job_and_state(request.query.get("job", ""))
    text = await asyncio.to_thread(_html)
    url, job = context.site.url(request), None
    text = _at(url, text)
    if job_and_state is not None:
        job, state = job_and_state
        text = _about(job.name, _alert_of(state), text)
        address = str(escape(f"{url}/jobs/{job.name}"))
        text = _linked(text, address)
    return await page(
        "runbook.html",
        **context.site.common(request, context.clock.now()),
        text=text,
        job=job,
    )


async def runbook_of_job(context: Context, request: web.Request) -> web.Response:
    """Redirect to the runbook of a job, by default this one.

    Browsers keep the fragment, which is the section for the alert.
    """
    name = request.match_info["job"]
    job = context.service.job(name)
    if job is None:
        return await unknown_job(context, request, name)
    own = f"{context.site.base(request)}runbook?{urlencode({'job': name})}"
    location = job.runbook_url or own
    return web.Response(status=302, headers={"Location": location})


@cache
def _html() -> Markup:
    """Return the runbook as HTML."""
    source = _PACKAGED if _PACKAGED.is_file() else _DOCUMENT
    parser = MarkdownIt("commonmark", {"html": False})
    tokens = parser.parse(source.read_text("utf-8"))
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(tokens[place + 1].content))
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _address(str(child.attrGet("href"))))
    text = parser.renderer.render(tokens, parser.options, {})
    # Keys must reach what is scrolled. Headings and texts have no such tag: it is escaped.
    text = text.replace(f"<pre>{_QUERY}", f"{_IN_PROMETHEUS}<pre>{_QUERY}")
    text = text.replace("<pre>", _COMMAND)
    # Markdown from this package, in which HTML is escaped.
    return Markup(text)  # noqa: S704


def _at(url: str, text: Markup) -> Markup:
    """Return the *text* with the *url* of the daemon in its commands."""
    here = str(escape(url))
    commands = str(text).replace(f"http://{_DAEMON}", _DAEMON).replace(_DAEMON, here)
    return Markup(commands)  # noqa: S704


def _linked(text: Markup, address: str) -> Markup:
    """Return the *text* with the *address* of a page as a link."""
    link = f'<a href="{address}">{address}</a>'
    return Markup(str(text).replace(f"<code>{address}</code>", link))  # noqa: S704


def _alert_of(state: JobState) -> str:
    """Return the name of the worst open alert of a job; "" without one."""
    conditions = [alert.key.condition for alert in state.alerts]
    worst = min(conditions, key=lambda one: ORDER[one], default=None)
    return "" if worst is None else names.ALERT_OF[worst.value]


def _about(job: str, alert: str, text: Markup) -> Markup:
    """Return the *text* with the name of *job*, and of its *alert*, in its commands."""
    name = str(escape(job))
    about = f"The commands are about the job <b>{name}</b>."
    # The pattern keeps grep from finding itself.
    commands = str(text).replace(_EXPLAINED, about)
    commands = commands.replace("[J]OB", f"[{name[0]}]{name[1:]}")
    if alert:
        commands = commands.replace(_ALERT_EXPLAINED, "")
        commands = _ALERT.sub(alert, commands)
    return Markup(_PLACEHOLDER.sub(lambda _: name, commands))  # noqa: S704


def _anchor(heading: str) -> str:
    """Return the id of a *heading*, as on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _address(link: str) -> str:
    """Return the address of a *link* in the runbook; other documents are elsewhere."""
    return link if link.startswith("#") else urljoin(names.RUNBOOK, link)
