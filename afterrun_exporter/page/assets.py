"""Static files of the pages, each with a hash of its content in its address."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web

TYPES: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "reference.css": "text/css",
    "icon.svg": "image/svg+xml",
}

_FOLDER: Final = files("afterrun_exporter.page") / "static"
_CONTENTS: Final = {name: (_FOLDER / name).read_bytes() for name in TYPES}

#: Addresses relative to the root.
ADDRESSES: Final = {
    name: f"static/{name}?v={sha256(content).hexdigest()[:12]}"
    for name, content in _CONTENTS.items()
}


async def asset(request: web.Request) -> web.Response:
    """Return a static file, which clients may cache forever."""
    name = request.match_info["name"]
    if name not in _CONTENTS:
        raise web.HTTPNotFound
    return web.Response(
        body=_CONTENTS[name],
        content_type=TYPES[name],
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
