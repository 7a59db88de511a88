"""The alertmanager.yml that a configuration wants kept up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from afterrun_exporter.config import Config
from afterrun_exporter.core.routing import JobReceiver
from afterrun_exporter.rulegen import alertmanager, render
from afterrun_exporter.upkeep import KeptFile


def kept_file(config: Config, beside: Path) -> KeptFile | None:
    """Return the file that *config* names in ``alertmanager: {config_file}``, if any.

    Relative paths start at *beside*, the directory of the configuration.
    """
    if not config.alertmanager.config_file:
        return None
    path = (beside / config.alertmanager.config_file).absolute()
    # Alertmanager may have been started elsewhere, and is to find its secrets.
    told = replace(config.alertmanager, config_file=str(path))

    def compile_(receivers: Sequence[JobReceiver]) -> Mapping[Path, str]:
        base = render.read_yaml(beside / told.base) if told.base else None
        text = alertmanager.config_text(
            config.jobs, config.label_keys, told, receivers, base
        )
        return {
            Path(path.name): text,
            alertmanager.TEMPLATE: alertmanager.template_text(),
            **alertmanager.secret_files(receivers),
        }

    return KeptFile(path, told.reload_url, compile_)
