"""The fields of a report, from its query and a body of any format."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec.structs import replace

from afterrun_exporter.core.model import FAILURES, Kind, Ping
from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import forms, outcome_claims
from afterrun_exporter.ingest.json_text import Object, read_json
from afterrun_exporter.ingest.vocabulary import meaning

MULTIPART: Final = "multipart/"
#: A longer message is more than a word.
MAX_WORD: Final = 80


_SPACE: Final = re.compile(r"\s")
_NAME: Final = re.compile(r"[\w.%+\[\]-]{1,80}=", re.ASCII)


def fields_of(
    query: Iterable[tuple[str, str]],
    body: str = "",
    content_type: str = "",
    *,
    is_output: bool = False,
) -> Object:
    """Return the fields of a query and a body; those of the body take precedence.

    A body that is neither JSON nor a form has no fields. If the body *is_output* of a
    job, it is parsed as a form only if it has no whitespace, because curl declares
    every body a form.
    """
    fields, replaced = Object(), []
    for name, value in (*query, *_pairs(body, content_type, is_output)):
        if name in fields:
            replaced.append((name, fields[name]))
        fields[name] = value
    fields.replaced = tuple(replaced)
    return fields


def with_claimed_outcome(
    ping: Ping, fields: Object, plain: Collection[str], *, strict: bool = True
) -> Ping:
    """Return *ping*, with a failed outcome if *fields* or its message claim a failure.

    Fields named in *plain* are ignored. If *strict*, raises PingError for an invalid
    claim; otherwise the body may be arbitrary output.
    """
    try:
        claims = outcome_claims.read(
            fields, address=(ping.kind, ping.outcome), plain=plain
        )
    except PingError:
        if strict:
            raise
        return _with_outcome_of_message(ping)
    code = ping.exit_code if ping.exit_code is not None else claims.exit_code
    if claims.outcome not in FAILURES:
        return _with_outcome_of_message(replace(ping, exit_code=code))
    return replace(
        ping,
        kind=Kind.FINISH,
        outcome=claims.outcome,
        exit_code=code,
        warnings=(*ping.warnings, *claims.warnings),
    )


def _with_outcome_of_message(ping: Ping) -> Ping:
    claim = meaning(ping.message) if len(ping.message) <= MAX_WORD else None
    if claim is None or claim[1] not in FAILURES or ping.outcome in FAILURES:
        return ping
    warning = f"the message {ping.message!r} says otherwise: the worse counts"
    return replace(
        ping,
        kind=Kind.FINISH,
        outcome=claim[1],
        warnings=(*ping.warnings, warning),
    )


def _pairs(body: str, content_type: str, is_output: bool) -> Iterator[tuple[str, Any]]:
    text = body.strip("\ufeff \t\r\n")
    media = content_type.lower()
    if text.startswith("{"):
        yield from _object(text).items()
    elif media.startswith(MULTIPART):
        yield from _parts(body, content_type)
    elif (
        media.startswith(forms.URLENCODED)
        and text.count("&") < forms.MAX_FIELDS
        and _NAME.match(text) is not None
        and not (is_output and _SPACE.search(text) is not None)
    ):
        yield from parse_qsl(forms.shortened(text), keep_blank_values=True)


def _object(text: str) -> dict[str, Any]:
    try:
        value = read_json(text.encode("utf-8", "replace"))
    except PingError:
        return {}
    return value if isinstance(value, dict) else {}


def _parts(body: str, content_type: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a multipart form; its files are no fields."""
    try:
        parts = forms.parts(body, content_type)
    except PingError:
        return
    for part in parts:
        if part.name is not None and not part.is_file:
            yield part.name, part.value
