"""Files of Cronitor: monitors by type in YAML, and lists of them in JSON or YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from afterrun_exporter.config.document import NotYAMLError, read
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.json_lines import object_lines
from afterrun_exporter.importers.model import InputFile, Source, Unmapped
from afterrun_exporter.validation_messages import Path, quote

#: Sections of the YAML, of several versions, and the type of their monitors.
_SECTIONS: Final[Mapping[str, str]] = {
    "jobs": "job",
    "heartbeats": "heartbeat",
    "events": "heartbeat",
    "checks": "check",
    "synthetics": "check",
    "sites": "site",
}
#: Types in old versions of the API.
_OLD_TYPES: Final[Mapping[str, str]] = {"cron": "job", "event": "heartbeat"}
#: Fields of a page of monitors.
_PAGE: Final = frozenset(
    {"page", "page_size", "total_monitor_count", "monitor_count", "version"}
)
#: Settings of Cronitor's libraries.
_ACCOUNT: Final = frozenset({"api_key", "api_version", "environment"})
#: Keys of a monitor that is a whole file.
_OWN_KEYS: Final = ("key", "code")

Item = tuple[Path, str, str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitor of a file."""

    source: Source
    key: str
    #: "job", "heartbeat", or one that sends requests.
    type: str
    attributes: Mapping[str, Any]


def read_file(source: InputFile) -> tuple[list[Monitor], list[Unmapped]]:
    """Return the monitors in *source*, and what could not be read.

    Raises ConfigError if there are none.
    """
    text, file = source.text, source.name
    unmapped: list[Unmapped] = []
    document, lines = _parsed(text, file, unmapped)
    items = [*_items(document, file, unmapped)]
    if not items and not unmapped and not _is_empty_page(document):
        message = (
            "has no monitors of Cronitor: use the answer of "
            "GET /api/monitors?format=yaml, which has jobs: or heartbeats:"
        )
        raise ConfigError(file, [Problem(0, "", message)])
    if lines is None:
        positions = read(text, [path for path, *_ in items])
        places = [positions.line(path) for path, *_ in items]
    else:
        places = lines if len(lines) == len(items) else [0] * len(items)
    monitors = [
        Monitor(Source(file, line), key, kind, attributes)
        for line, (_, key, kind, attributes) in zip(places, items, strict=True)
    ]
    return monitors, unmapped


def _parsed(
    text: str, file: str, unmapped: list[Unmapped]
) -> tuple[object, list[int] | None]:
    """Return the data in *text*, and the lines of its monitors if it is JSON."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            depth = 2 if isinstance(document, list) else 3
            if isinstance(document, dict) and _is_monitor(document):
                depth = 1
            return document, object_lines(text, depth)
    try:
        parsed = read(text)
    except NotYAMLError as error:
        raise ConfigError(file, list(error.problems)) from None
    unmapped += [
        Unmapped(Source(file, one.line), one.path or file, one.message)
        for one in parsed.problems
    ]
    return parsed.data, None


def _items(document: object, file: str, unmapped: list[Unmapped]) -> Iterator[Item]:
    """Yield the path, the key, the type and the attributes of each monitor."""
    if isinstance(document, list):
        yield from _items_of_list((), document, "", file, unmapped)
        return
    if not isinstance(document, dict):
        return
    if _is_monitor(document):
        yield from _items_of_list((), [document], "", file, unmapped, alone=True)
        return
    for name, section in document.items():
        path = (name,)
        if name == "monitors" and isinstance(section, list):
            yield from _items_of_list(path, section, "", file, unmapped)
            _check_page(document, len(section), file, unmapped)
        elif name in _SECTIONS and isinstance(section, dict):
            yield from _items_of_mapping(path, section, _SECTIONS[name], file, unmapped)
        elif name in _SECTIONS and isinstance(section, list):
            yield from _items_of_list(path, section, _SECTIONS[name], file, unmapped)
        elif section is not None and name not in _PAGE | _ACCOUNT:
            unmapped.append(
                Unmapped(Source(file), f"{name}: {quote(section)}", "not a monitor")
            )


def _items_of_mapping(
    path: Path,
    section: Mapping[str, Any],
    kind: str,
    file: str,
    unmapped: list[Unmapped],
) -> Iterator[Item]:
    for key, attributes in section.items():
        if attributes is None or isinstance(attributes, dict):
            fields = attributes or {}
            yield (*path, key), key, _type(fields, kind), fields
        else:
            text = f"{'.'.join(map(str, path))}.{key}: {quote(attributes)}"
            reason = "expected the attributes of a monitor"
            unmapped.append(Unmapped(Source(file), text, reason))


def _items_of_list(
    path: Path,
    items: list[Any],
    kind: str,
    file: str,
    unmapped: list[Unmapped],
    *,
    alone: bool = False,
) -> Iterator[Item]:
    for place, attributes in enumerate(items):
        key = _key(attributes) if isinstance(attributes, dict) else ""
        if key:
            own = path if alone else (*path, place)
            yield own, key, _type(attributes, kind or "job"), attributes
        else:
            text = f"{'.'.join(map(str, path)) or 'monitors'}[{place}]: {quote(attributes)}"
            unmapped.append(Unmapped(Source(file), text, "a monitor needs a key"))


def _key(attributes: Mapping[str, Any]) -> str:
    values = (attributes.get(name) for name in (*_OWN_KEYS, "name"))
    return next((one for one in values if isinstance(one, str) and one.strip()), "")


def _type(attributes: Mapping[str, Any], default: str) -> str:
    kind = attributes.get("type")
    if not isinstance(kind, str) or not kind:
        return default
    return _OLD_TYPES.get(kind, kind)


def _is_monitor(document: Mapping[str, Any]) -> bool:
    return any(isinstance(document.get(name), str) for name in _OWN_KEYS)


def _is_empty_page(document: object) -> bool:
    return document == [] or (
        isinstance(document, dict)
        and any(name in document for name in ("monitors", *_SECTIONS))
    )


def _check_page(
    document: Mapping[str, Any], count: int, file: str, unmapped: list[Unmapped]
) -> None:
    """Report the monitors on other pages than that of *document*."""
    total = document.get("total_monitor_count", document.get("monitor_count"))
    if isinstance(total, int) and total > count:
        text = f"monitors: {count} of {total}"
        reason = "the other pages are missing: import them too, or use ?format=yaml"
        unmapped.append(Unmapped(Source(file), text, reason))
