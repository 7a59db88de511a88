"""Templates to pages; the only place that knows Jinja2.

Everything is escaped unless our own code has made it as markup, and a name that is
missing is an error, not a hole in the page.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from afterrun_exporter.clock import cooperatively

_TEMPLATES: Final = Environment(
    loader=PackageLoader("afterrun_exporter.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)

#: Those that have been read.
_read: Final[set[str]] = set()


async def page(template: str, code: int = 200, **context: Any) -> web.Response:
    """Return the answer that shows *template*, rendered in steps."""
    if template not in _read:
        # Reading them takes long, the first time; one includes others.
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
