"""Reports as forms: query strings, urlencoded bodies and multipart bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from afterrun_exporter.errors import PingError
from afterrun_exporter.ingest.fields import number
from afterrun_exporter.ingest.json_text import Object, parse_json
from afterrun_exporter.ingest.reports import CLAIMS, FIELDS, MAX_MESSAGE
from afterrun_exporter.ingest.vocabulary import MAX_WORD, Sense, meaning, sense_of

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"

#: The most fields, counted before they are read.
MAX_FIELDS: Final = 2_000
#: The most characters of a value that are decoded, from its end.
MAX_VALUE: Final = 3 * MAX_MESSAGE
#: Characters whose percent escapes are replaced at a time.
STEP: Final = 65_536
#: The most brackets in a name in PHP's style.
MAX_BRACKETS: Final = 4

TOO_MANY: Final = f"the form has over {MAX_FIELDS} fields: send them as JSON"

Pairs = Iterable[tuple[str, str]]

_FIRST: Final = re.compile(r"[\w.\-\[\]%+]{1,80}=", re.ASCII)
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")

_NUMBERS: Final = frozenset(
    {"duration_ms", "duration_seconds", "heartbeat_seconds", "started_at", "ended_at"}
)
_INTEGERS: Final = frozenset({"attempt", "max_attempts"})
_TEXTS: Final = frozenset({"run_id", "message"})
#: Meanings of fields in which a number claims nothing.
_COUNTS: Final = frozenset(
    {
        *(Sense.ERROR, Sense.ERROR_TEXT, Sense.PART, Sense.SUCCESSES, Sense.COMPLETE),
        *(Sense.CANCELED, Sense.SKIPPED, Sense.TIMEOUT, Sense.LEVEL),
        *(Sense.PHASE, Sense.OTHER_STATE, Sense.SIGNAL),
    }
)


def urlencoded(text: str) -> list[tuple[str, str]]:
    """Return the fields of a query string or an urlencoded body, in their order.

    Raises PingError for too many fields.
    """
    if text.count("&") >= MAX_FIELDS:
        raise PingError(TOO_MANY)
    text = shortened(text)
    pairs = parse_qsl(text, keep_blank_values=True, errors="replace")
    # `?fail` is a word, and `?fail=` an empty value.
    bare = {part for part in text.split("&") if part and "=" not in part}
    return [
        ("status", name)
        if name in bare and meaning(name) is not None
        else (name, value)
        for name, value in pairs
    ]


def shortened(text: str) -> str:
    """Return an urlencoded *text* in which long values are cut to their ends."""
    if len(text) <= MAX_VALUE:
        return text
    return "&".join(map(_shortened, text.split("&")))


def unquoted(text: str) -> str:
    """Return *text* with its percent escapes replaced, in steps."""
    raw = text.encode("utf-8", "replace")
    pieces, at = [], 0
    while at < len(raw):
        end = at + STEP
        # Do not split an escape.
        percent = raw.rfind(b"%", end - 2, end)
        if percent >= 0:
            end = percent
        pieces.append(unquote_to_bytes(raw[at:end]))
        at = end
    return b"".join(pieces).decode("utf-8", "replace")


def _shortened(field: str) -> str:
    """Return *field* with a long value cut to its end, because decoding takes time."""
    if len(field) <= MAX_VALUE:
        return field
    return f"{field[:200].partition('=')[0]}={field[-MAX_VALUE:]}"


def multipart(text: str, content_type: str) -> list[tuple[str, str]]:
    """Return the fields of a multipart body; files are named ``message``.

    Raises PingError if the parts cannot be separated.
    """
    return [
        ("message" if part.is_file or part.name is None else part.name, part.value)
        for part in parts(text, content_type)
    ]


class Part(NamedTuple):
    """A part of a multipart body."""

    #: None if it has no name.
    name: str | None
    is_file: bool
    value: str


def parts(text: str, content_type: str) -> list[Part]:
    """Return the parts of a multipart body.

    Raises PingError if they cannot be separated, and for too many of them.
    """
    boundary = re.search(r'boundary="?([^";,]{1,200})', content_type)
    line = f"--{boundary[1].strip()}" if boundary else text.strip().partition("\n")[0]
    line = line.strip()
    if not line.startswith("--") or len(line) < 3 or line not in text:
        raise PingError("the multipart body has no boundary: its fields cannot be read")
    if text.count(line) > MAX_FIELDS:
        raise PingError(TOO_MANY)
    return list(_parts(text.split(line)[1:]))


def _parts(parts: Iterable[str]) -> Iterator[Part]:
    for part in parts:
        if part.startswith("--"):
            return
        head, blank, value = part.replace("\r\n", "\n").lstrip("\n").partition("\n\n")
        if not blank:
            continue
        head = head[:2_000]
        name = re.search(r'[;\s]name="?([^";\n]{0,200})', head, re.IGNORECASE)
        is_file = re.search(r"[;\s]filename\*?=", head, re.IGNORECASE)
        yield Part(
            name[1] if name is not None else None,
            is_file is not None,
            value.removesuffix("\n"),
        )


def looks_urlencoded(text: str, *, declared: bool) -> bool:
    """Return True if *text* looks like an urlencoded body.

    If it is *declared* as one, values may contain unencoded characters, because curl
    does not encode them.
    """
    if _FIRST.match(text) is None:
        return False
    return declared or re.search(r"\s", text) is None


def looks_like_form_in_log(text: str) -> bool:
    """Return True if *text* is certainly a form.

    curl declares any text as a form, for example a log.
    """
    if not looks_urlencoded(text, declared=True):
        return False
    if re.search(r"\s", text) is None:
        return True
    parts = text.split("&", MAX_FIELDS)
    plain = all(_FIRST.match(part) and part.count("=") == 1 for part in parts)
    name = parts[0].partition("=")[0]
    return plain and (len(parts) > 1 or name in FIELDS or name == "error")


def fields_of(pairs: Pairs) -> Object:
    """Return the fields of a report for *pairs* of texts.

    Numbers without a meaning become metrics, other texts metadata. A name in brackets
    is a key of the object before it: ``metrics[rows]=3``.
    """
    form = _Form()
    for name, text in pairs:
        form.add(name.strip("\ufeff \t\r\n"), text)
    return form.fields()


class _Form:
    """Builder of the fields of a form."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._objects: dict[str, dict[str, Any]] = {"metrics": {}, "metadata": {}}
        self._replaced: list[tuple[str, Any]] = []

    def fields(self) -> Object:
        """Return the fields as JSON would have them."""
        objects = {name: value for name, value in self._objects.items() if value}
        fields = Object({**self._fields, **objects})
        fields.replaced = tuple(self._replaced)
        return fields

    def add(self, name: str, text: str) -> None:
        """Add a field to the object where it belongs."""
        if "[" in name[1:]:
            self._add_inside(name, text)
        elif name not in _TEXTS and isinstance(value := _structure(text), dict | list):
            if name in self._objects and isinstance(value, dict):
                self._objects[name].update(value)
            else:
                self._set(name, value)
        elif name in FIELDS:
            if text.strip() or name not in self._objects:
                self._set(name, _typed(name, text))
        else:
            self._add_other(name, text)

    def _add_other(self, name: str, text: str) -> None:
        value = number(text)
        sense = sense_of(name)
        metrics, metadata = self._objects["metrics"], self._objects["metadata"]
        if sense is not None:
            if value is None or sense not in _COUNTS or sense is Sense.ERROR:
                self._set(name, text)
            if value is not None and sense in _COUNTS:
                metrics[name] = value
        elif value is not None:
            metrics[name] = value
        elif not text.strip():
            # `-d rows=$ROWS`, and the variable is empty.
            metrics[name] = text
        elif _may_be_misspelt(name):
            self._set(name, text)
        else:
            metadata[name] = text

    def _add_inside(self, name: str, text: str) -> None:
        """Add a field with brackets in its name to its object."""
        head = name[: name.index("[", 1)]
        path = [head, *_BRACKETS.findall(name)[:MAX_BRACKETS]]
        inside: dict[str, Any] = self._fields
        if head in self._objects and any(path[1:]):
            inside = self._objects
        for place in path[:-2] if path[-1] == "" else path[:-1]:
            following = inside.setdefault(place, {})
            if not isinstance(following, dict):
                # A value and an object have the same name: both count.
                self._replaced.append((place, following))
                following = inside[place] = {}
            inside = following
        is_metric = len(path) == 2 and head == "metrics"
        value = number(text) if is_metric else None
        entry = text if value is None else value
        if path[-1] != "":
            inside[path[-1]] = entry
            return
        values = inside.setdefault(path[-2], [])
        if isinstance(values, list):
            values.append(entry)
        else:
            self._replaced.append((path[-2], [entry]))

    def _set(self, name: str, value: Any) -> None:
        if name in self._fields:
            self._replaced.append((name, self._fields[name]))
        self._fields[name] = value


def _may_be_misspelt(name: str) -> bool:
    """Return True if *name* may be a misspelt claim."""
    return len(name) <= MAX_WORD and any(
        abs(len(name) - len(claim)) <= 2 and name[:1].lower() in claim[:2]
        for claim in CLAIMS
    )


def _typed(name: str, text: str) -> Any:
    """Return *text* as the value that JSON would have for the field."""
    if name in _NUMBERS:
        value = number(text)
        return text if value is None else value
    if name in _INTEGERS and re.fullmatch(r"\s*[0-9]{1,18}\s*", text, re.ASCII):
        return int(text)
    return text


def _structure(text: str) -> Any:
    """Return the object or list that *text* spells in JSON; None for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return parse_json(text)
    except PingError:
        return None


def combined(query: Object, body: Any) -> Any:
    """Return the fields of the *query* and the *body*, which wins."""
    if not query or not isinstance(body, dict):
        return body
    fields = Object({**query, **body})
    for name in {"metrics", "metadata"} & query.keys() & body.keys():
        of_query, of_body = query[name], body[name]
        if isinstance(of_query, dict) and isinstance(of_body, dict):
            fields[name] = {**of_query, **of_body}
    fields.replaced = (
        *query.replaced,
        *getattr(body, "replaced", ()),
        *((name, value) for name, value in query.items() if name in body),
    )
    return fields
