"""`afterrun exec`, `ping` and `spool` as click shows them: their help and completion."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Final

import click

from afterrun_exporter.cli.completion import complete_jobs
from afterrun_exporter.cli.main import CLIENT
from afterrun_exporter.client import commands
from afterrun_exporter.client.options import PARSERS, Parser

_PATHS: Final = {
    "PATH": click.Path(dir_okay=False),
    "FOLDER": click.Path(file_okay=False),
}


def client_command(name: str) -> click.Command:
    """Return the command *name* for its help and completion."""
    if name in PARSERS:
        return _Shown(name, PARSERS[name](os.environ))
    group = click.Group(name, help=CLIENT[name])
    for path in PARSERS:
        if path.startswith(f"{name} "):
            word = path.removeprefix(f"{name} ")
            group.add_command(_Shown(word, PARSERS[path](os.environ), path))
    return group


class _Shown(click.Command):
    """A command whose arguments are parsed by *parser*."""

    def __init__(self, name: str, parser: Parser, path: str = "") -> None:
        super().__init__(
            name,
            params=[_parameter(one) for one in parser._actions],  # noqa: SLF001
            help=parser.description,
        )
        if "COMMAND" in str(parser.usage):
            command = click.Argument(["command"], nargs=-1, type=click.Path())
            self.params.append(command)
        self._parser, self._path = parser, path or name

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing or set(ctx.help_option_names) & set(args):
            return super().parse_args(ctx, args)
        # Reached if click is called without `cli/main.py`, as in a test.
        sys.exit(commands.main(self._path, args))

    def format_usage(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        program, _, usage = str(self._parser.usage).partition(" [")
        formatter.write_usage(program, f"[{usage}")

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        records = {
            one.name: one.get_help_record(ctx)
            for one in self.get_params(ctx)
            if isinstance(one, click.Option)
        }
        # The first two are those of argparse itself.
        for group in self._parser._action_groups[2:]:  # noqa: SLF001
            names = [one.dest for one in group._group_actions]  # noqa: SLF001
            rows = [record for name in names if (record := records.pop(name, None))]
            with formatter.section(str(group.title)):
                formatter.write_dl(rows)
        with formatter.section("Options"):
            formatter.write_dl([record for record in records.values() if record])

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        if notes := self._parser.epilog:
            formatter.write(f"\n{notes}")


def _parameter(action: argparse.Action) -> click.Parameter:
    """Return the parameter that click shows for *action*."""
    if not action.option_strings:
        return click.Argument([action.dest], shell_complete=complete_jobs)
    more: dict[str, Any] = {"is_flag": True}
    if action.nargs != 0:
        more = {
            "metavar": action.metavar,
            "multiple": isinstance(action, argparse._AppendAction),  # noqa: SLF001
            "type": _PATHS.get(str(action.metavar)),
        }
    return click.Option([*action.option_strings, action.dest], help=action.help, **more)
