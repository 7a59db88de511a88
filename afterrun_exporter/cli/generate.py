"""`afterrun generate`: write what Prometheus, Alertmanager and Grafana read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from afterrun_exporter import config as configs
from afterrun_exporter.cli.managed_config import base_warnings
from afterrun_exporter.config import Config
from afterrun_exporter.errors import ConfigError, GenerateError
from afterrun_exporter.rulegen import alertmanager, prometheus, render, rule_tests

#: The file that is read where none is named.
DEFAULT_FILE: Final = Path("afterrun.yml")

RULES: Final = Path("rules/afterrun.rules.yml")


class MissingExtraError(GenerateError):
    """A package that only some of the files need is not installed."""


def _prometheus(config: Config, _: Path) -> render.Files:
    jobs = config.jobs.values()
    # In a folder of their own: people tell Prometheus to load rules/*.yml.
    tests = rule_tests.tests_file(jobs, config.label_keys, f"../{RULES.name}")
    return {
        RULES: render.to_yaml(prometheus.rules_file(jobs, config.hash)),
        RULES.parent / "tests/afterrun.test.yml": render.to_yaml(tests),
    }


def _alertmanager(config: Config, beside: Path) -> render.Files:
    ours = config.alertmanager
    base = render.read_yaml(beside / ours.base) if ours.base else None
    for warning in base_warnings(config, beside):
        click.echo(f"alertmanager.base: {warning} (warning)", err=True)
    return alertmanager.files(config.jobs, config.label_keys, ours, base=base)


def _grafana(config: Config, _: Path) -> render.Files:
    try:
        # Here, because it needs an extra that the other files do without.
        from afterrun_exporter.rulegen import grafana  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("grafana_foundation_sdk"):
            raise
        raise MissingExtraError(
            "the dashboards need an extra: pip install 'afterrun-exporter[grafana]'"
        ) from error
    dashboards = grafana.dashboards(config.label_keys)
    folder = Path("grafana/dashboards")
    return {folder / name: text for name, text in dashboards.items()}


#: What can be asked for, and the files that it comes to, given the directory that
#: paths in the configuration start from.
GENERATORS: Final[Mapping[str, Callable[[Config, Path], render.Files]]] = {
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "grafana": _grafana,
}


@click.command()
@click.argument("what", type=click.Choice([*GENERATORS, "all"]), default="all")
@click.option(
    "--config.file",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The configuration to generate from; {DEFAULT_FILE} if it is there.",
)
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where rules/, alertmanager/ and grafana/ go; here by default.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; show what is out of date, and exit 1 if something is.",
)
@click.pass_context
def generate(
    context: click.Context,
    what: str,
    config_file: Path | None,
    directory: Path,
    check: bool,
) -> None:
    """Write alerting rules, Alertmanager's configuration and dashboards.

    They are made of the configuration alone: no daemon or database is needed, and
    the same configuration gives the same files. What somebody else wrote is not
    overwritten. Where the extra for dashboards is missing, all is all but those.
    """
    try:
        # All of them before the first is written: all or none.
        files = _files(what, config_file)
        if not check:
            for path in render.write(files, directory):
                click.echo(f"wrote {path}")
            return
        changes = render.diff(files, directory)
    except ConfigError as error:
        click.echo(str(error), err=True)
        context.exit(1)
    except GenerateError as error:
        raise click.ClickException(str(error)) from error
    click.echo(changes, nl=False)
    if changes:
        click.echo("out of date; run `afterrun generate`", err=True)
        context.exit(1)


def _files(what: str, config_file: Path | None) -> render.Files:
    path = config_file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    config = configs.load(path) if path else configs.default()
    beside = path.parent if path else Path()
    chosen = list(GENERATORS) if what == "all" else [what]
    files: dict[Path, str] = {}
    for name in chosen:
        try:
            files |= GENERATORS[name](config, beside)
        except MissingExtraError as error:
            if what != "all":
                raise
            click.echo(f"left out {name}: {error}", err=True)
    return files
