"""How the daemon writes its log: one line an event, to stderr."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog

LEVELS: Final = ("debug", "info", "warn", "error")
FORMATS: Final = ("logfmt", "json")

_NUMBERS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


class _Stderr(io.TextIOBase):
    """Where the log goes; one that cannot be written harms nothing else.

    Not buffered: Python would try again at exit, and fail the whole program.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(sys.stderr.fileno(), text.encode("utf-8", "backslashreplace"))
        return len(text)


def configure(level: str, log_format: str) -> None:
    """Send everything from *level* up to stderr, as *log_format*."""
    renderer: Any
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.processors.LogfmtRenderer(
            key_order=["ts", "level", "event"], bool_as_flag=False
        )
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", key="ts"),
        structlog.processors.format_exc_info,
    ]
    stderr = cast("TextIO", _Stderr())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_NUMBERS[level]),
        logger_factory=structlog.WriteLoggerFactory(stderr),
        cache_logger_on_first_use=False,
    )
    # What the libraries have to say comes out the same way.
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
    logging.basicConfig(level=_NUMBERS[level], handlers=[handler], force=True)
