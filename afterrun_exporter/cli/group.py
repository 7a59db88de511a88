"""The commands of ``afterrun``, one module each, imported on use."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Final

import click
from click.shell_completion import CompletionItem

from afterrun_exporter.cli.main import CLIENT
from afterrun_exporter.conventions import DEFAULT_PORT
from afterrun_exporter.core.did_you_mean import did_you_mean

#: Commands and their descriptions. A module has the name of its command and is
#: imported late, so that `afterrun version` does not load a web server.
COMMANDS: Final = {
    "serve": "Receive pings, evaluate runs, expose metrics.",
    "import": "Convert crontabs, timers and other job definitions to afterrun.yml.",
    "check": "Validate afterrun.yml and show the next slots.",
    "generate": "Write Prometheus rules, Alertmanager configuration and dashboards.",
    "jobs": "List jobs and their states.",
    "runs": "Show the last runs of a job.",
    "report": "Report on runs and problems over a period.",
    "pause": "Pause monitoring of a job.",
    "resume": "Resume monitoring of a job.",
    "alerts": "Show alerts, or open a test alert.",
    "doctor": "Check the chain from the daemon to Alertmanager.",
    "backtest": "Evaluate rules on past runs.",
    "backup": "Copy the database, also while the daemon is running.",
    "restore": "Replace the database with a backup.",
    "migrate-storage": "Copy the database from SQLite to PostgreSQL.",
    "token": "Create tokens for the API.",
    "version": "Print the version.",
}
#: Modules of the commands whose names are no names in Python.
_MODULES: Final = {"import": "importing", "migrate-storage": "migrate_storage"}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*COMMANDS, *CLIENT]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in CLIENT:
            module = import_module("afterrun_exporter.cli.client_commands")
            client: click.Command = module.client_command(cmd_name)
            return client
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        name = _MODULES.get(cmd_name, cmd_name)
        module = import_module(f"afterrun_exporter.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        names = (*COMMANDS, *CLIENT)
        is_name = name in names or ctx.resilient_parsing
        if not is_name and (hint := did_you_mean(name, names)):
            ctx.fail(f"No such command {name!r}{hint}")
        if name == "serve":
            # Importing takes a while, and a SIGHUP meanwhile must not end the process.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return super().resolve_command(ctx, args)

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[CompletionItem]:
        # Without importing all of them, as click would.
        commands = [
            CompletionItem(name, help=text)
            for name, text in {**COMMANDS, **CLIENT}.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items(), *CLIENT.items()])


def _print_version(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001
    value: bool,
) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(import_module("afterrun_exporter.cli.version").version_text())
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Jobs report to http://localhost:{DEFAULT_PORT}/ping/JOB.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def afterrun() -> None:
    """Monitor scheduled jobs: detect runs that are missed, fail or do not achieve enough."""
