"""Generation of the managed alertmanager.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.alertmanager.managed_file import ManagedFile
from afterrun_exporter.alertmanager.secret_files import problem_of
from afterrun_exporter.config import Config, Source
from afterrun_exporter.core.routing import Alertmanager, JobReceiver
from afterrun_exporter.errors import ConfigError, GenerateError
from afterrun_exporter.rulegen import alertmanager, render
from afterrun_exporter.rulegen.receivers import configured_secrets, secret_files

#: A key of afterrun.yml.
Key = tuple[str | int, ...]

log = structlog.get_logger()


def load_with_base(source: Source) -> Config:
    """Return the configuration in *source*.

    Raises ConfigError, also when ``alertmanager: {base}`` cannot be merged with it.
    """
    config = configs.parse_source(source)
    if config.alertmanager.base and not source.is_in_repository:
        try:
            _config_text(config, source.beside, config.alertmanager)
        except GenerateError as error:
            at = ("alertmanager", "base")
            problem = configs.problem_at(source, at, str(error))
            raise ConfigError(source.name, [problem]) from None
    return config


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


def secret_warnings(config: Config, beside: Path) -> Iterator[tuple[Key, str]]:
    """Yield the key and a warning for each secret that cannot be read here.

    Only of files that Alertmanager finds wherever it runs.
    """
    problems: dict[str, str] = {}
    for key, path in configured_secrets(_absolute(config, beside)):
        if not Path(path).is_absolute():
            continue
        if path not in problems:
            problems[path] = problem_of(Path(path))
        if problems[path]:
            yield ("alertmanager", *key), f"{path} {problems[path]}"


def secrets_of(config: Config, beside: Path) -> list[Path] | None:
    """Return the secrets of the managed Alertmanager; None if there is none."""
    if not config.alertmanager.config_file:
        return None
    paths = (path for _, path in configured_secrets(_absolute(config, beside)))
    return [Path(path) for path in dict.fromkeys(paths)]


def kept_file(config: Config, beside: Path) -> ManagedFile | None:
    """Return the file that *config* names in ``alertmanager: {config_file}``, if any.

    Relative paths start at *beside*, the directory of the configuration.
    """
    if not config.alertmanager.config_file:
        return None
    settings = _absolute(config, beside)
    path = Path(settings.config_file)

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


def _absolute(config: Config, beside: Path) -> Alertmanager:
    """Return the settings with an absolute path of the managed file, if there is one.

    Alertmanager may run in another directory, and reads secrets.
    """
    settings = config.alertmanager
    if not settings.config_file:
        return settings
    path = (beside / settings.config_file).absolute()
    return replace(settings, config_file=str(path))


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
