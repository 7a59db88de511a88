"""The entry point ``afterrun``: client commands, or click for all others."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

#: The client's commands. Jobs wait for `afterrun exec`, so it does not load click
#: or other dependencies.
CLIENT: Final = {
    "exec": "Run a command, and report how it went.",
    "ping": "Report a run by hand.",
    "spool": "Deliver the reports that could not be delivered.",
}


def main() -> None:
    """Run the command line and exit."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in CLIENT:
        client = import_module("afterrun_exporter.client.commands")
        sys.exit(client.main(name, sys.argv[2:]))
    import_module("afterrun_exporter.cli.group").afterrun(prog_name="afterrun")
