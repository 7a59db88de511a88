"""Any number of a file may be infinite, or larger than a computer's."""

from __future__ import annotations

import json
import re

import pytest

from afterrun_exporter.config.loading import parse
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers import (
    alerts_yaml,
    cronitor,
    healthchecks,
    kubernetes,
    manifest,
)
from afterrun_exporter.importers.model import InputFile
from afterrun_exporter.importers.writing import render
from tests.importers import (
    test_cronitor,
    test_healthchecks,
    test_kubernetes,
    test_manifest,
    test_worker_files,
)
from tests.importers.results import Read

FILES: dict[str, tuple[Read, str]] = {
    "scheduler": (alerts_yaml.read, test_worker_files.SCHEDULER + "    queueOptions:\n      maxAttempts: 3\n"),
    "alerts": (alerts_yaml.read, test_worker_files.ALERTS),
    "cronjobs": (kubernetes.read, test_kubernetes.FULL),
    "cronitor": (cronitor.read, test_cronitor.FILE),
    "healthchecks": (healthchecks.read, json.dumps({"checks": [test_healthchecks.CHECK]})),
    "manifest": (manifest.read, test_manifest.HEADER + test_manifest.DOCUMENTED),
}  # fmt: skip
NUMBER = re.compile(
    r"(?<=[:=\[,(] )-?\d+(?:\.\d+)?(?=[\s,\])}]|$)|(?<=[=(\[])\d+(?=[,)\]])"
)
EXTREME = [
    ".inf",
    "-.inf",
    ".nan",
    "1e999",
    "1e308",
    "1e-320",
    "9" * 400,
    "-1",
    "0",
    "0.5",
]


@pytest.mark.parametrize(("read", "text"), FILES.values(), ids=FILES)
def test_an_extreme_number_is_used_or_reported(read: Read, text: str) -> None:
    numbers = [*NUMBER.finditer(text)]

    assert numbers
    for place, number in enumerate(numbers):
        for other in EXTREME[place % 2 :: 2]:
            changed = text[: number.start()] + other + text[number.end() :]
            try:
                result = read([InputFile("input", changed)])
            except ConfigError as error:
                # JSON has no such number.
                assert "not JSON" in str(error)  # noqa: PT017
                continue
            parse(render(result), on_disk=False)
