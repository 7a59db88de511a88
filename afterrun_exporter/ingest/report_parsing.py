"""The fields of a report, from a request's query string and a body in any format."""

from __future__ import annotations

import re
from typing import Any, Final

from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest import forms, outcome_claims
from afterrun_exporter.ingest.fields import number
from afterrun_exporter.ingest.json_text import decode, parse_json
from afterrun_exporter.ingest.reports import FIELDS, MAX_MESSAGE
from afterrun_exporter.ingest.vocabulary import meaning, reads_like_failure, sense_of

#: The type of a text that may mention failures, such as a log.
TEXT: Final = "text/plain"

#: The most lines in a text that is a list of fields.
MAX_LINES: Final = 50

_BLANK: Final = "\ufeff\0 \t\r\n"
_JSON_TYPE: Final = re.compile(r"(application|text)/([\w.-]+\+)?json")
#: The beginning of JSON. Log lines may begin with "[2026-" as well.
_JSON_START: Final = re.compile(
    r"""['"\\ ]{0,20}(\{|\[\s*([{\["\]]|(true|false|null|-?[0-9.]+)\s*[,\]]|$))|\""""
)
_SCALAR: Final = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null|NaN|-?Infinity")
_LINE: Final = re.compile(r"\s*([A-Za-z_][\w.-]{0,63})\s*[:=]\s*(.*?)\s*", re.ASCII)

UNDECLARED: Final = (
    "reads like a failure, and is neither JSON nor a form: send status=fail, or the text "
    "as message=... or with Content-Type: text/plain"
)


def read_report(body: bytes, content_type: str = "", query: str = "") -> Any:
    """Return the fields of a report; those of the body override those of the query.

    Raises PingError for an invalid body or query.
    """
    fields = _read_body(body, content_type)
    if not query:
        return fields
    query_fields = forms.fields_of(forms.urlencoded(query))
    return forms.combined(query_fields, fields)


def _read_body(body: bytes, content_type: str) -> Any:
    text = decode(body, content_type)
    plain = text.strip(_BLANK)
    if not plain:
        return {}
    media = media_type(content_type)
    if media == forms.MULTIPART:
        return forms.fields_of(forms.multipart(text, content_type))
    if _JSON_TYPE.fullmatch(media) is None:
        if plain[:3].upper() in {"%7B", "%5B"}:
            # Percent-encoded JSON, sent as the name of a field without a value.
            text = plain = forms.unquoted(plain.removesuffix("="))
        if _JSON_START.match(plain) is None:
            if forms.looks_urlencoded(plain, declared=media == forms.URLENCODED):
                return forms.fields_of(forms.urlencoded(plain))
            if not _is_part_of_json(plain):
                return _read_text(plain, declared=media == TEXT)
    return parse_object(text)


def parse_object(text: str) -> Any:
    """Return *text* parsed as JSON; raise PingError for invalid JSON or too many fields."""
    # A quick check; the claims are counted exactly later.
    if text.count('":') > 2 * outcome_claims.MAX_FIELDS:
        raise PingError(outcome_claims.TOO_MANY)
    return parse_json(text)


def media_type(content_type: str) -> str:
    """Return the type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _is_part_of_json(text: str) -> bool:
    """Return True if *text* is a JSON value, or the end of a truncated object."""
    return _SCALAR.fullmatch(text[:400]) is not None or (
        text[-1] == "}" and re.search(r"[\"']\s{0,8}:", text[:2_000]) is not None
    )


def _read_text(text: str, *, declared: bool) -> Any:
    """Return the fields of a text: a word, lines with a field each, or a message."""
    if not re.search(r"\s", text) and len(text) <= 64:
        if meaning(text) is not None:
            return {"status": text}
        if not declared:
            raise PingError(
                f"{text!r} is neither JSON, nor a form such as status=fail, nor a word "
                "for an outcome"
            )
    if (pairs := _lines(text)) is not None:
        return forms.fields_of(pairs)
    ends = f"{text[:2_000]} {text[-2_000:]}"
    if not declared and reads_like_failure(ends):
        raise PingError(f"the text {text[:40]!r} {UNDECLARED}")
    return {"message": text[-2 * MAX_MESSAGE :]}


def _lines(text: str) -> list[tuple[str, str]] | None:
    """Return the fields of a text with one field per line; None for any other text."""
    # Allow for blank lines.
    if text.count("\n") + text.count("\r") > 4 * MAX_LINES:
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        return None
    matches = [_LINE.fullmatch(line[:1_000]) for line in lines]
    pairs = [(one[1], one[2].strip("\"'")) for one in matches if one is not None]
    if len(pairs) < len(lines):
        return None
    has_field = any(name in FIELDS or sense_of(name) for name, _ in pairs)
    return (
        pairs
        if has_field or all(number(value) is not None for _, value in pairs)
        else None
    )
