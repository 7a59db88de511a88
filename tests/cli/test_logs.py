"""The log: one line an event, whatever clients have sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys

WRITE = """
import logging, sys, structlog
from afterrun_exporter.cli.logs import configure
configure("info", sys.argv[1])
for name in eval(sys.argv[2]):
    structlog.get_logger().warning("ping_refused", job=name, more=3)
    logging.getLogger("library").error("it says %s", name)
"""


def written(log_format: str, *names: str) -> list[str]:
    command = [sys.executable, "-c", WRITE, log_format, ascii(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


NAMES = {
    "backup": "job=backup ",
    "Ünïcode☀": "job=Ünïcode☀ ",
    "a\0b": r"job=a\x00b ",
    "a\x1b[31mb\x07": r"job=a\x1b[31mb\x07 ",
    "a\x9bb": r"job=a\x9bb ",
    "a\r\nb": r"job=a\r\nb ",
    "a\u2028b\u202ec": r"job=a\u2028b\u202ec ",
    "a\u0085b c": r'job="a\\x85b c" ',
}


def test_a_name_is_written_so_that_no_terminal_obeys_it() -> None:
    lines = written("logfmt", *NAMES)

    for ours, theirs, told in zip(lines[::2], lines[1::2], NAMES.values(), strict=True):
        assert told in ours
        assert ours.endswith(" more=3")
        assert "level=ERROR" in theirs


def test_json_escapes_as_json_does() -> None:
    ours, _ = written("json", "a\0\x1b\r\nb")

    assert json.loads(ours)["job"] == "a\0\x1b\r\nb"
    assert ours.isprintable()


def test_keys_and_levels_are_those_of_prometheus() -> None:
    """Its own, and those of libraries, so that one parser reads both."""
    for line, level in zip(written("json", "backup"), ("WARN", "ERROR"), strict=True):
        fields = json.loads(line)
        assert [*fields][:4] == ["time", "level", "source", "msg"]
        assert (fields["level"], fields["source"][:9]) == (level, "<string>:")
        assert not {"event", "filename", "lineno"} & fields.keys()

    ours, theirs = written("logfmt", "backup")
    pattern = r"time=\S+Z level=%s source=<string>:\d+ msg=%s"
    assert re.match(pattern % ("WARN", "ping_refused job=backup"), ours)
    assert re.match(pattern % ("ERROR", '"it says backup"'), theirs)
