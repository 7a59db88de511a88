"""The page at ``/``: what is broken now, and where everything else is."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from itertools import islice
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.clock import Clock
from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.state import JobState
from afterrun_exporter.core.units import format_duration
from afterrun_exporter.service import Service
from afterrun_exporter.web.headers import POLICY

#: Broken jobs that are listed; more are no list but an outage.
MOST: Final = 50

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid #8886; overflow-wrap: anywhere; }
pre { background: #8882; padding: .8rem; overflow-x: auto; }
"""
#: The one style that the page has in itself.
_POLICY: Final = POLICY.replace(
    "style-src 'self'",
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
)

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AfterRun exporter</title>
<style>{style}</style>
</head>
<body>
<h1>AfterRun exporter</h1>
<p>{summary}</p>
{broken}
<h2>Report a run</h2>
<pre>curl -fsS -m 10 --retry 5 --retry-connrefused {url}/ping/my-job \\
  -d '{{"status": "ok", "metrics": {{"rows_processed": 120}}}}'</pre>
<p><a href="{metrics}">Metrics</a> · <a href="-/healthy">Health</a> ·
version {version}</p>
</body>
</html>
"""


def landing(
    service: Service, clock: Clock, version: str, url: str, metrics: str
) -> Handler:
    """Return the handler for the page.

    *url* is how jobs reach us, "" to guess; *metrics* is where they are scraped.
    """

    async def handle(request: web.Request) -> web.Response:
        page = _PAGE.format(
            style=_STYLE,
            summary=escape(_summary(service)),
            broken=_broken(service, clock.now()),
            url=escape((url or str(request.url.origin())).rstrip("/")),
            metrics=escape(metrics.lstrip("/")),
            version=escape(version),
        )
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(text=page, content_type="text/html", headers=headers)

    return handle


def _summary(service: Service) -> str:
    counts = Counter(status(job, state) for job, state in service.watched())
    if not counts:
        return "No job has reported yet."
    told = ", ".join(f"{counts[one]} {one}" for one in Status if counts[one])
    return f"{counts.total()} jobs: {told}."


def _broken(service: Service, now: float) -> str:
    rows = "".join(islice(_rows(service, now), MOST))
    if not rows:
        return "<p>Nothing is broken.</p>"
    head = "<tr><th>Job</th><th>What</th><th>For</th></tr>"
    return f"<h2>Broken now</h2><table>{head}{rows}</table>"


def _rows(service: Service, now: float) -> Iterator[str]:
    for job, state in service.watched():
        for what, since in _conditions(job, state):
            age = format_duration(max(0, int(now - since)))
            cells = (_name(job), escape(what), escape(age))
            yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _name(job: Job) -> str:
    name = escape(job.name)
    if job.runbook_url:
        name = f'<a href="{escape(job.runbook_url)}">{name}</a>'
    return f"{name}<br><small>{escape(job.description)}</small>"


def _conditions(job: Job, state: JobState) -> Iterator[tuple[str, float]]:
    for alert in state.alerts if job.enabled else ():
        rule = f": {alert.key.rule}" if alert.key.rule else ""
        yield f"{alert.key.condition}{rule}", alert.opened_at
