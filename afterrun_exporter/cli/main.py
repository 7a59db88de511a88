"""The entry point ``afterrun``: client commands, or click for all others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import takewhile
from typing import Final

#: The client's commands. Jobs wait for `afterrun exec`, so it does not load click
#: or other dependencies.
CLIENT: Final = {
    "exec": "Run a command, and report how it went.",
    "ping": "Report a run by hand.",
    "spool": "Deliver or list the reports that could not be delivered.",
}
#: The commands of those that have some.
SUBCOMMANDS: Final = {"spool": ("flush", "list")}
HELP: Final = ("-h", "--help")


def main() -> None:
    """Run the command line and exit."""
    name, arguments = client_command(sys.argv[1:])
    if name:
        client = import_module("afterrun_exporter.client.commands")
        sys.exit(client.main(name, arguments))
    group = import_module("afterrun_exporter.cli.group").afterrun
    group(arguments, prog_name="afterrun")


def client_command(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the client's command and its arguments; "" and *words* for click.

    Click shows their help, and reports a missing or an unknown subcommand.
    """
    name, arguments = " ".join(words[:1]), words[1:]
    if name not in CLIENT:
        return "", words
    if name in SUBCOMMANDS:
        if not arguments or arguments[0] not in SUBCOMMANDS[name]:
            return "", words
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
    own = takewhile(lambda word: word != "--", arguments)
    if not set(HELP).isdisjoint(own):
        return "", [*name.split(), HELP[0]]
    return name, arguments
