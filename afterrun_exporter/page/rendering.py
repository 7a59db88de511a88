"""Rendering of pages with Jinja2.

Everything is escaped except Markup from this package, and an undefined name is an error.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from afterrun_exporter.clock import cooperatively
from afterrun_exporter.core.text_fields import without_codes
from afterrun_exporter.page.similar_messages import in_brief

_TEMPLATES: Final = Environment(
    loader=PackageLoader("afterrun_exporter.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)

#: Spaces inside of times, and between a number and its unit or operator.
_UNITS: Final = re.compile(
    r"(?<=[<>=]) (?=[-\d])|(?<=\bcode) (?=\d)|(?<=\d) (?=(?:[KMGTPEZY]i|[kMGT])?B\b)"
    r"|(?<=[A-Z][a-z]{2}) (?=\d{1,2} [A-Z][a-z]{2}\b)"
    r"|(?<=\d) (?=[A-Z][a-z]{2}(?: \d{4})? \d\d:\d\d)"
    r"|(?<=[A-Z][a-z]{2}) (?=\d{4} \d\d:\d\d|\d\d:\d\d)"
    r"|(?<=\d{4}) (?=\d\d:\d\d)"
    r"|(?<=:\d\d) (?=[A-Z]{3,5}\b|[+-]\d{2,4}\b)",
)


def unbroken(text: str) -> str:
    """Return *text* without places for line breaks inside of times and quantities."""
    return _UNITS.sub("\N{NO-BREAK SPACE}", text)


_TEMPLATES.filters["unbroken"] = unbroken
_TEMPLATES.filters["in_brief"] = in_brief
_TEMPLATES.filters["without_codes"] = without_codes

#: Names of the templates that are loaded.
_read: Final[set[str]] = set()


async def page(template: str, code: int = 200, **context: Any) -> web.Response:
    """Return *template* rendered as a response, yielding to the event loop."""
    if template not in _read:
        # Compiling templates is slow the first time, and they include each other.
        await asyncio.to_thread(_read_all)
    pieces = _TEMPLATES.get_template(template).generate(context)
    return web.Response(
        text="".join([piece async for piece in cooperatively(pieces)]),
        content_type="text/html",
        status=code,
    )


def _read_all() -> None:
    names = _TEMPLATES.list_templates()
    for name in names:
        _TEMPLATES.get_template(name)
    _read.update(names)
