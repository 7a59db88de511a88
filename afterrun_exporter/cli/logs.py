"""The log of the daemon: one line per event, to stderr."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict

FORMATS: Final = ("logfmt", "json")

_NUMBERS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
LEVELS: Final = tuple(_NUMBERS)


#: Control characters, and characters that change the text direction.
_NOT_PRINTED: Final = re.compile(
    "[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
)


#: The file and line of the call that logs.
_PLACE: Final = structlog.processors.CallsiteParameterAdder(
    {
        structlog.processors.CallsiteParameter.FILENAME,
        structlog.processors.CallsiteParameter.LINENO,
    }
)
#: The names of levels in Prometheus that structlog has other ones for.
_LEVELS: Final = {"warning": "WARN", "critical": "ERROR"}


class _Stderr(io.TextIOBase):
    """Standard error without buffering; write errors are ignored.

    With a buffer, Python would try to flush again at exit and fail.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode("utf-8", "backslashreplace"))
        return len(text)


def _printable(_: object, __: str, event: EventDict) -> EventDict:
    """Return *event* with control characters escaped.

    It may contain text from clients. The renderer escapes newlines.
    """
    return {
        key: _NOT_PRINTED.sub(_escaped, value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _named_as_in_prometheus(_: object, __: str, event: EventDict) -> EventDict:
    """Return *event* with the keys and levels of Prometheus 3."""
    file, line = event.pop("filename", ""), event.pop("lineno", "")
    level = event.pop("level", "info")
    return {
        "time": event.pop("time", ""),
        "level": _LEVELS.get(level, level.upper()),
        "source": f"{file}:{line}",
        "msg": event.pop("event", ""),
        **event,
    }


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def configure(level: str, log_format: str) -> None:
    """Log events from *level* up to stderr, in *log_format*."""
    renderer: Any
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", key="time"),
        _PLACE,
        _named_as_in_prometheus,
        structlog.processors.format_exc_info,
    ]
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        # JSON escapes these characters itself.
        shared.append(_printable)
        renderer = structlog.processors.LogfmtRenderer(
            key_order=["time", "level", "source", "msg"], bool_as_flag=False
        )
    stderr = cast("TextIO", _Stderr())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=structlog.WriteLoggerFactory(stderr),
        cache_logger_on_first_use=False,
    )
    # Logs of libraries use the same format, without their debug lines: those quote
    # requests, and the values in SQL statements.
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    least = max(_NUMBERS[level], logging.INFO)
    logging.basicConfig(level=least, handlers=[handler], force=True)
