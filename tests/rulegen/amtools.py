"""Configurations of Alertmanager for the tests here, and what judges them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from afterrun_exporter.config import Config, parse
from afterrun_exporter.core.routing import JobReceiver, ReceiverType
from afterrun_exporter.rulegen import alertmanager, render

from .conftest import Run

_AMLINT: Final = Path(sys.executable).with_name("amlint")

#: Somebody for each way that the API knows.
RECEIVERS = (
    JobReceiver(
        id=7,
        job="web:check",
        type=ReceiverType.DISCORD,
        target="https://discord.com/api/webhooks/1/discord-token",
    ),
    JobReceiver(
        id=3,
        job="etl.orders",
        type=ReceiverType.EMAIL,
        target="orders@example.com",
        on_missed=False,
        on_success=True,
    ),
    JobReceiver(
        id=4,
        job="etl.orders",
        type=ReceiverType.WEBHOOK,
        target="https://hooks.example.com/orders",
        on_failure=False,
        on_timeout=False,
        on_violation=False,
    ),
    JobReceiver(
        id=5,
        job="etl.orders",
        type=ReceiverType.SLACK,
        target="https://hooks.slack.com/services/slack-token",
        on_failure=False,
        on_timeout=False,
        on_violation=False,
        on_missed=False,
    ),
)


def rich(root: Path) -> Config:
    """Return a configuration that uses every key there is."""
    return parse((root / "tests/configs/good/alertmanager.yml").read_text())


def files(
    config: Config,
    receivers: Sequence[JobReceiver] = (),
    base: Mapping[str, Any] | None = None,
) -> Mapping[Path, str]:
    """Return what *config* comes to."""
    return alertmanager.files(
        config.jobs, config.label_keys, config.alertmanager, receivers, base
    )


def data(
    config: Config,
    receivers: Sequence[JobReceiver] = (),
    base: Mapping[str, Any] | None = None,
) -> Any:
    """Return alertmanager.yml of *config*, as data."""
    return yaml.safe_load(files(config, receivers, base)[alertmanager.CONFIG])


def findings(
    run: Run,
    directory: Path,
    config: Config,
    receivers: Sequence[JobReceiver] = (),
    base: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write the files of *config* and return what amtool and amlint say of them.

    amlint mentions, as no more than a fact, that one receiver tells nobody.
    """
    render.write(files(config, receivers, base), directory)
    path = directory / alertmanager.CONFIG
    checked = run("amtool", "check-config", path)
    linted = run(str(_AMLINT), "check", "--format=json", path)
    said = [
        f"{finding['code']}: {finding['message']}"
        for finding in json.loads(linted.stdout)
        if (finding["code"], finding["where"])
        != ("empty-receiver", "receivers[discard]")
    ]
    good = checked.returncode == 0 and not incompatible(checked)
    return said if good else [checked.stdout, checked.stderr, *said]


def incompatible(result: subprocess.CompletedProcess[str]) -> bool:
    """Return True if amtool, from 0.27 on, needed the parser of older matchers."""
    return "incompatible" in result.stdout + result.stderr
