"""``/badge/{job}.svg``: the state of a job as a picture for other web pages."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Final

from aiohttp import web

from afterrun_exporter.api.handlers import fresh
from afterrun_exporter.api.operation import SVG
from afterrun_exporter.api.request_models import NoQuery
from afterrun_exporter.api.request_parsing import read_query
from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.core.status import Status, status
from afterrun_exporter.engine.service import Service

#: White text has a contrast of at least 4.5 to 1 on each of them.
COLOURS: Final = {
    Status.MISSED: "#b3261e",
    Status.FAILING: "#b3261e",
    Status.VIOLATED: "#a84300",
    Status.OVERRUNNING: "#a84300",
    Status.SLOW: "#a84300",
    Status.OVERLAPPING: "#a84300",
    Status.SUCCESS_RATIO_LOW: "#a84300",
    Status.UPSTREAM_UNHEALTHY: "#5f6368",
    Status.RETRYING: "#5f6368",
    Status.RUNNING: "#2e7d32",
    Status.OK: "#2e7d32",
    Status.PAUSED: "#5f6368",
    Status.NEW: "#5f6368",
}
UNKNOWN: Final = "unknown"
_GREY: Final = "#5f6368"
_DARK: Final = "#33373b"

_NARROW: Final = frozenset("fijlrt1.:-I ")
_WIDE: Final = frozenset("mwMW_%@")

_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{title}">
<title>{title}</title>
<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left_width}" height="20" fill="{dark}"/>
<rect x="{left_width}" width="{right_width}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">
<text x="6" y="14" textLength="{left_text}" lengthAdjust="spacingAndGlyphs">{name}</text>
<text x="{right_at}" y="14" textLength="{right_text}" \
lengthAdjust="spacingAndGlyphs">{word}</text>
</g>
</svg>
"""


async def badge(service: Service, request: web.Request) -> web.Response:
    """Return the badge of a job; unknown jobs get one too, with status 404."""
    read_query(NoQuery, request.query)
    name = request.match_info["job"]
    job_and_state = service.job_and_state(name)
    word = status(*job_and_state) if job_and_state else None
    # Text that cannot be a job name is not repeated in the picture.
    label = name if JOB_NAME.fullmatch(name) else "job"
    response = web.Response(
        text=render(label, word),
        status=HTTPStatus.OK if job_and_state else HTTPStatus.NOT_FOUND,
        content_type=SVG,
    )
    return fresh(request, response)


def render(name: str, state: Status | None) -> str:
    """Return the badge of a job in *state*, which is None if the job is unknown."""
    word = UNKNOWN if state is None else state.value
    left_text, right_text = _width(name), _width(word)
    left_width, right_width = left_text + 12, right_text + 12
    return _SVG.format(
        width=left_width + right_width,
        left_width=left_width,
        right_width=right_width,
        left_text=left_text,
        right_text=right_text,
        right_at=left_width + 6,
        name=escape(name),
        word=word,
        title=escape(f"{name}: {word}"),
        dark=_DARK,
        colour=_GREY if state is None else COLOURS[state],
    )


def _width(text: str) -> int:
    """Return the approximate width of *text* in pixels; the SVG stretches it to fit."""
    narrow = sum(mark in _NARROW for mark in text)
    wide = sum(mark in _WIDE for mark in text)
    return round(4.2 * narrow + 9.6 * wide + 6.9 * (len(text) - narrow - wide))
