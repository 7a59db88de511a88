"""`afterrun import`: convert job definitions of other systems to afterrun.yml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from afterrun_exporter.cli.import_input import (
    YAML_SUFFIXES,
    files_argument,
    read_files,
)
from afterrun_exporter.cli.import_output import deliver, output_options
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.importers.model import Imported, InputFile


@dataclass(frozen=True, slots=True)
class ImportSource:
    """A kind of files to import from."""

    summary: str
    #: The module of `importers` with the function
    #: ``read(files: Sequence[InputFile]) -> Imported``.
    reader: str = ""
    #: Names of files that are read in a directory end with one of these.
    suffixes: Sequence[str] = YAML_SUFFIXES
    #: True if files in a directory may be no UTF-8, because few of them are needed.
    is_lenient: bool = False
    #: More text for the help.
    notes: str = ""
    #: The module of `cli` with its own ``command``, for a source with more options.
    command: str = ""


#: The sources by name. Modules are imported on use.
SOURCES: Final[dict[str, ImportSource]] = {
    "crontab": ImportSource(
        "Import crontabs: of a user, /etc/crontab, /etc/cron.d.",
        command="import_crontab",
    ),
    "systemd": ImportSource("Import timers of systemd.", command="import_systemd"),
    "kubernetes": ImportSource(
        "Import CronJobs of Kubernetes.",
        "kubernetes",
        notes="Reads manifests in YAML or JSON, and the output of kubectl get cronjobs "
        "-A -o yaml. Templates of Helm and kustomizations must be rendered first.",
    ),
    "scheduler-yaml": ImportSource(
        "Import the schedules of a worker's scheduler.yaml.",
        "alerts_yaml",
        notes="With its alerts.yaml as a second file, the alerts are imported as well.",
    ),
    "alerts-yaml": ImportSource(
        "Import the alerts of a worker's alerts.yaml.",
        "alerts_yaml",
        notes="Rules become policies, and queue health a job with rules. With the "
        "scheduler.yaml as a second file, patterns are compared with its jobs.",
    ),
    "manifest": ImportSource(
        "Import jobs that a manifest.py registers as JobConfig.",
        "manifest",
        suffixes=(".py",),
        is_lenient=True,
        notes="The file is read, and never executed. Given its directory, constants "
        "that it imports from other files are found.",
    ),
    "healthchecks": ImportSource(
        "Import checks of Healthchecks, from its API or its JSON.",
        command="import_healthchecks",
    ),
    "cronitor": ImportSource(
        "Import monitors of Cronitor, from its YAML or JSON.",
        "cronitor",
        notes="Each FILE is an answer of its API: GET /api/monitors?format=yaml.",
    ),
    "runs": ImportSource(
        "Load past runs into the daemon, from NDJSON or CSV.",
        command="import_runs",
    ),
}


def generic_command(name: str, source: ImportSource) -> click.Command:
    """Return the command of a *source* that has no options of its own."""

    @click.command(name, help=f"{source.summary}\n\n{source.notes}".strip())
    @files_argument
    @output_options
    def command(files: tuple[str, ...], into: Path | None, dry_run: bool) -> None:
        module = import_module(f"afterrun_exporter.importers.{source.reader}")
        read: Callable[[Sequence[InputFile]], Imported] = module.read

        def imported() -> Imported:
            is_lenient = source.is_lenient
            return read(read_files(files, source.suffixes, is_lenient=is_lenient))

        deliver(imported, into, dry_run)

    return command


class _Sources(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*SOURCES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        source = SOURCES.get(cmd_name)
        if source is None:
            return None
        if not source.command:
            return generic_command(cmd_name, source)
        module = import_module(f"afterrun_exporter.cli.{source.command}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in SOURCES and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], SOURCES) or f"; use {', '.join(SOURCES)}"
            ctx.fail(f"unknown source {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Sources"):
            formatter.write_dl([(name, one.summary) for name, one in SOURCES.items()])


@click.group(
    cls=_Sources,
    name="import",
    subcommand_metavar="SOURCE [FILE|-|URL]...",
    epilog="Exit status: 0 everything is imported; 1 invalid input, nothing is "
    "written; 3 imported, except for what is listed on stderr.",
)
def importing() -> None:
    """Convert job definitions of other systems to afterrun.yml.

    The jobs are printed, each with the place that it is from, or added to a file with
    --into. Definitions that afterrun.yml cannot express are listed on stderr as
    FILE:LINE: TEXT: REASON. Nothing is guessed.
    """
