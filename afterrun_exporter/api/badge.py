"""``/badge/{job}.svg``: how a job is doing, as a picture for other people's pages."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from afterrun_exporter.api.handlers import fresh
from afterrun_exporter.api.operation import SVG
from afterrun_exporter.api.request_models import NoQuery
from afterrun_exporter.api.request_parsing import read_query
from afterrun_exporter.core.alerts import Status, status
from afterrun_exporter.core.model import JOB_NAME
from afterrun_exporter.engine.service import Service

#: White on each of them can be read: 4.5 to 1 or more.
COLOURS: Final = {
    Status.OK: "#2e7d32",
    Status.MISSED: "#b3261e",
    Status.FAILING: "#b3261e",
    Status.VIOLATED: "#a84300",
    Status.RETRYING: "#5f6368",
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
<rect width="{left}" height="20" fill="{dark}"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">
<text x="6" y="14" textLength="{left_text}" lengthAdjust="spacingAndGlyphs">{name}</text>
<text x="{right_at}" y="14" textLength="{right_text}" \
lengthAdjust="spacingAndGlyphs">{word}</text>
</g>
</svg>
"""


def badge(service: Service) -> Handler:
    """Return the handler for the picture; who asks for no job of ours gets one too."""

    async def handle(request: web.Request) -> web.Response:
        read_query(NoQuery, request.query)
        name = request.match_info["job"]
        known = service.known(name)
        word = status(*known) if known else None
        # A picture repeats nothing that could not be the name of a job.
        shown = name if JOB_NAME.fullmatch(name) else "job"
        response = web.Response(
            text=drawn(shown, word),
            status=HTTPStatus.OK if known else HTTPStatus.NOT_FOUND,
            content_type=SVG,
        )
        return fresh(request, response)

    return handle


def drawn(name: str, state: Status | None) -> str:
    """Return the picture of a job, which is in *state*; None for one nobody knows."""
    word = UNKNOWN if state is None else state.value
    left_text, right_text = _width(name), _width(word)
    left, right = left_text + 12, right_text + 12
    return _SVG.format(
        width=left + right,
        left=left,
        right=right,
        left_text=left_text,
        right_text=right_text,
        right_at=left + 6,
        name=escape(name),
        word=word,
        title=escape(f"{name}: {word}"),
        dark=_DARK,
        colour=_GREY if state is None else COLOURS[state],
    )


def _width(text: str) -> int:
    """Return the pixels that *text* takes, about; the picture makes it fit."""
    narrow = sum(mark in _NARROW for mark in text)
    wide = sum(mark in _WIDE for mark in text)
    return round(4.2 * narrow + 9.6 * wide + 6.9 * (len(text) - narrow - wide))
