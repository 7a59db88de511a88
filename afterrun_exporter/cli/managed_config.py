"""Generation of the managed alertmanager.yml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.alertmanager.managed_file import ManagedFile
from afterrun_exporter.config import Config
from afterrun_exporter.core.routing import Alertmanager, JobReceiver
from afterrun_exporter.errors import ConfigError, GenerateError
from afterrun_exporter.rulegen import alertmanager, render
from afterrun_exporter.rulegen.receivers import secret_files

log = structlog.get_logger()


def load_with_base(path: Path) -> tuple[str, Config]:
    """Return the text at *path* and its configuration.

    Raises ConfigError, also when ``alertmanager: {base}`` cannot be merged with it.
    """
    text = configs.read_text(path)
    config = configs.parse(text, str(path))
    if config.alertmanager.base:
        try:
            _config_text(config, path.parent, config.alertmanager)
        except GenerateError as error:
            at = ("alertmanager", "base")
            problem = configs.problem_at(text, at, str(error))
            raise ConfigError(str(path), [problem]) from None
    return text, config


def base_warnings(config: Config, beside: Path) -> list[str]:
    """Return a warning for each inhibit rule of the base that silences AfterRun's alerts.

    Raises GenerateError if the base cannot be read.
    """
    ours = config.alertmanager
    if not ours.base:
        return []
    path = beside / ours.base
    base = render.read_yaml(path)
    silencers = alertmanager.silencers(config.jobs, config.label_keys, ours, base)
    lines = render.entry_lines(path, "inhibit_rules") if silencers else []
    return [
        f"{ours.base}:{lines[one.number]}: inhibit_rules[{one.number}] {one.message}"
        for one in silencers
    ]


def kept_file(config: Config, beside: Path) -> ManagedFile | None:
    """Return the file that *config* names in ``alertmanager: {config_file}``, if any.

    Relative paths start at *beside*, the directory of the configuration.
    """
    if not config.alertmanager.config_file:
        return None
    path = (beside / config.alertmanager.config_file).absolute()
    # An absolute path: Alertmanager may run in another directory and reads secrets.
    settings = replace(config.alertmanager, config_file=str(path))

    is_logged = False

    def compile_(receivers: Sequence[JobReceiver]) -> Mapping[Path, str]:
        nonlocal is_logged
        # Logged once, not with every change of a receiver.
        if not is_logged:
            is_logged = True
            for warning in base_warnings(config, beside):
                log.warning("alertmanager_base_silences_alerts", warning=warning)
        return {
            Path(path.name): _config_text(config, beside, settings, receivers),
            alertmanager.TEMPLATE: alertmanager.template_text(settings),
            **secret_files(receivers),
        }

    return ManagedFile(path, settings.reload_url, compile_)


def _config_text(
    config: Config,
    beside: Path,
    settings: Alertmanager,
    receivers: Sequence[JobReceiver] = (),
) -> str:
    base = render.read_yaml(beside / settings.base) if settings.base else None
    return alertmanager.config_text(
        config.jobs, config.label_keys, settings, receivers, base
    )
