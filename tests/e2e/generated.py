"""The chain with the files that `afterrun generate` writes for a configuration.

Only times are shortened: what the alerting rules wait for, and how far they look back.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import chain, network
from .inbox import Inbox
from .processes import Process

RULES: Final = Path("rules/afterrun.rules.yml")

#: Every window and every wait of the alerting rules, in seconds: enough of them for a
#: busy machine, on which a daemon does not answer some scrapes in a row.
SHORTENED: Final[Mapping[str, str]] = {
    "[6h]": "[900s]",
    "[2m]": "[20s]",
    "[10m:1s]": "[30s:1s]",
    "[10m]": "[30s]",
    "[5m]": "[20s]",
    "interval: 1m\n": "interval: 1s\n",
    "interval: 10m": "interval: 1s",
    "for: 2m": "for: 20s",
    "for: 3m": "for: 20s",
    "for: 5m": "for: 20s",
    "for: 10m": "for: 20s",
    "for: 15m": "for: 20s",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each program listens."""

    daemon: int = field(default_factory=network.free_port)
    prometheus: int = field(default_factory=network.free_port)
    alertmanager: int = field(default_factory=network.free_port)
    webhook: int = field(default_factory=network.free_port)


@dataclass(frozen=True, slots=True)
class Generated:
    """The programs, and the files they go by. None is running yet."""

    directory: Path
    config: Path
    at: Ports
    daemon: Process
    prometheus: Process
    alertmanager: Process
    webhook: Process
    inbox: Inbox

    @property
    def daemon_url(self) -> str:
        return chain.url(self.at.daemon)

    @property
    def prometheus_url(self) -> str:
        return chain.url(self.at.prometheus)

    @property
    def alertmanager_url(self) -> str:
        return chain.url(self.at.alertmanager)


def generate(directory: Path, config: Path, shorten: bool = True) -> None:
    """Write all files for *config* below *directory*, as a user would."""
    afterrun = Path(sys.executable).with_name("afterrun")
    subprocess.run(
        [afterrun, "generate", "--config.file", config, "--out", directory],
        check=True,
        capture_output=True,
    )
    rules = directory / RULES
    text = rules.read_text()
    if shorten:
        for long, short in SHORTENED.items():
            assert long in text, f"no alerting rule has {long!r} any more"
            text = text.replace(long, short)
        left = re.findall(r"\[\d+[mhd]|for: \d+[mhd]", text)
        assert not left, f"not shortened: {left}"
    rules.write_text(text)


def assemble(directory: Path, text: str, at: Ports | None = None) -> Generated:
    """Return the chain for *text*, an afterrun.yml.

    HOOK is the webhook's address in it, and ALERTMANAGER that of Alertmanager.
    """
    at = at or Ports()
    hook = f"{chain.url(at.webhook)}/alerts"
    text = text.replace("HOOK", hook)
    text = text.replace("ALERTMANAGER", chain.url(at.alertmanager))
    config = directory / "afterrun.yml"
    config.write_text(text)
    generate(directory, config)
    posted = directory / "webhook.jsonl"
    prometheus = chain.prometheus_config(
        directory,
        directory / RULES,
        *(at.daemon, at.prometheus, at.alertmanager),
    )
    return Generated(
        directory=directory,
        config=config,
        at=at,
        daemon=chain.daemon(directory, config, at.daemon),
        prometheus=chain.prometheus(directory, prometheus, at.prometheus),
        # Its configuration as it was generated, with the templates beside it.
        alertmanager=chain.alertmanager(
            directory, directory / "alertmanager/alertmanager.yml", at.alertmanager
        ),
        webhook=chain.webhook_receiver(directory, at.webhook, posted),
        inbox=Inbox(directory / "mails", posted),
    )
