"""Bodies that take as much work as their size allows, in every format that is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.hostile import json, metrics, texts
from tests.hostile.shape import Shape
from tests.test_any_request import FIRST, PLACES, UUID, UUID_FIRST, filled


def _named(
    kind: str, shapes: Callable[[], Iterator[tuple[str, Shape]]]
) -> dict[str, Shape]:
    return {f"{kind}: {name}": shape for name, shape in shapes()}


#: All of them, by format and name.
SHAPES: Final[Mapping[str, Shape]] = {
    **_named("text", texts.plain),
    **_named("JSON", json.one_report),
    **_named("NDJSON", json.lines),
    **_named("form", texts.forms),
    **_named("multipart", texts.multiparts),
    **_named("exposition", metrics.expositions),
    **_named("protobuf", metrics.protobufs),
    **_named("envelope", metrics.envelopes),
    **_named("YAML", texts.yamls),
}

#: By format, the addresses at which it is read.
ADDRESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("/ping/{job}", "/{job}{slash}"),
    "JSON": ("/ping/{job}", "/ping", "/runs", "/task", "/api/monitors"),
    "NDJSON": ("/ping", "/runs", "/events", "/task"),
    "form": ("/ping/{job}", "/p/{key}/{job}{slash}", "/snitch/{job}{slash}"),
    "multipart": ("/ping/{job}", "/{job}{slash}", "/p/{key}/{job}{slash}"),
    "exposition": ("/metrics/{job}",),
    "protobuf": ("/metrics/{job}",),
    "envelope": ("/api/{project}/envelope{slash}", "/api/{project}/store{slash}"),
    "YAML": ("/api/v1/check",),
}
OTHERS: Final = (
    "/ping/{job}/{signal}{slash}",
    "/api/push/{job}{slash}",
    "/api/v1/heartbeat/{job}{slash}",
    "/api/{project}/cron/{job}{slash}",
    "/api/v{version}/checks{slash}",
    "/api/v1/jobs/{job}/backtest",
    "/api/v1/jobs/{job}/receivers",
    "/hooks/task/{event}",
    "/jobs/{job}/pause",
)
EVERYWHERE: Final = tuple(
    {*(one for all_ in ADDRESSES.values() for one in all_), *OTHERS}
)


def request(address: str, kind: str, body: bytes, coding: str = "") -> bytes:
    """Return a request to *address* with a *body* of a *kind*, on its own connection."""
    method = "PUT" if address == "/api/monitors" else "POST"
    lines = [
        f"{method} {_path_of(address)} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Content-Type: {kind}"] if kind else []),
        *([f"Content-Encoding: {coding}"] if coding else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _path_of(address: str) -> str:
    def place(name: str) -> str:
        is_uuid = name == "job" and UUID_FIRST.match(address) is not None
        return UUID if is_uuid else PLACES[name][0]

    if address in FIRST:
        return address.replace("{job}", FIRST[address])
    return filled(address, place).decode()
