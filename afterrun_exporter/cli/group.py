"""The commands of ``afterrun``: one module each, imported when it is asked for."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Final

import click

from afterrun_exporter import __version__
from afterrun_exporter.cli.main import CLIENT
from afterrun_exporter.conventions import DEFAULT_PORT
from afterrun_exporter.core.did_you_mean import near

#: Commands, the module each is in, and what it does. The modules are imported
#: late: `afterrun version` need not load a web server.
COMMANDS: Final = {
    "serve": "Take pings, judge runs, expose metrics.",
    "check": "Validate afterrun.yml; show when its jobs are due.",
    "generate": "Write alerting rules, routes and dashboards.",
    "jobs": "Show how every job is doing.",
    "runs": "Show the last runs of a job.",
    "pause": "Expect nothing of a job for a while.",
    "resume": "Watch a job again.",
    "alerts": "Show alerts, or try one out.",
    "backtest": "Show what rules would have flagged of past runs.",
    "backup": "Copy the database, also while the daemon uses it.",
    "restore": "Put a backup in the place of the database.",
    "token": "Make a token for somebody who is to be let in.",
    "version": "Print the version.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"afterrun_exporter.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = (*COMMANDS, *CLIENT)
        if name not in known and (meant := near(name, known)):
            ctx.fail(f"No such command {name!r}; did you mean {meant!r}?")
        if name == "serve":
            # Importing it takes a while, and a reload that is asked for
            # meanwhile must not end it.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items(), *CLIENT.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Jobs report to http://localhost:{DEFAULT_PORT}/ping/JOB.",
)
@click.version_option(__version__, message="afterrun %(version)s")
def afterrun() -> None:
    """Catch scheduled jobs that ran but did not work, or did not run."""
