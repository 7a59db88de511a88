"""`afterrun generate`: write the files that Prometheus and Grafana read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen import prometheus, render


def _prometheus() -> render.Files:
    rules = render.to_yaml(prometheus.rules_file())
    return {Path("rules/afterrun.rules.yml"): rules}


def _grafana() -> render.Files:
    try:
        # Here, because it needs an extra that the other files do without.
        from afterrun_exporter.rulegen import grafana  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("grafana_foundation_sdk"):
            raise
        raise GenerateError(
            "the dashboard needs an extra: pip install 'afterrun-exporter[grafana]'"
        ) from error
    return {Path("grafana/dashboards/afterrun.json"): grafana.dashboard_json()}


#: What can be asked for, and the files that it comes to.
GENERATORS: Final[Mapping[str, Callable[[], render.Files]]] = {
    "prometheus": _prometheus,
    "grafana": _grafana,
}


@click.command()
@click.argument(
    "what", type=click.Choice(["prometheus", "grafana", "all"]), default="all"
)
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where rules/ and grafana/ go; the current directory by default.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; show what is out of date, and exit 1 if something is.",
)
@click.pass_context
def generate(context: click.Context, what: str, directory: Path, check: bool) -> None:
    """Write the Prometheus rules and the Grafana dashboard."""
    try:
        # All of them before the first is written: all or none.
        files = _files(what)
        if not check:
            for path in render.write(files, directory):
                click.echo(f"wrote {path}")
            return
        changes = render.diff(files, directory)
    except GenerateError as error:
        raise click.ClickException(str(error)) from error
    click.echo(changes, nl=False)
    if changes:
        click.echo("out of date; run `afterrun generate`", err=True)
        context.exit(1)


def _files(what: str) -> render.Files:
    chosen = list(GENERATORS) if what == "all" else [what]
    return {path: text for name in chosen for path, text in GENERATORS[name]().items()}
