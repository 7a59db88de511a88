"""How long does a job wait for `afterrun exec` to start it?

Next to the same command without it. The daemon is down and the report goes to the
spool at once: what is measured is ours alone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from benchmarks.rounds import Measured, table, verdict

AFTERRUN: Final = Path(sys.executable).with_name("afterrun")
ROUNDS: Final = 40
QUICK: Final = 10
#: In seconds, from the start of exec to that of the command.
BAR: Final = 0.150

#: Tells when it runs.
COMMAND: Final = ("date", "+%s.%N")

HEAD: Final = ("command", "starts after", "has ended after", "bar")


class Side:
    """One way to run the command."""

    def __init__(self, name: str, *before: str) -> None:
        self.name = name
        self._command = (*before, *COMMAND)
        self.started: list[float] = []
        self.ended: list[float] = []

    def once(self) -> None:
        """Run it, and note when it started and ended."""
        wall = float(subprocess.check_output(COMMAND))
        began = perf_counter()
        said = subprocess.run(
            self._command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.ended.append(perf_counter() - began)
        self.started.append(float(said.stdout) - wall)

    def line(self, bar: str) -> tuple[str, ...]:
        """Return the line of the table."""
        started, ended = Measured(self.started), Measured(self.ended)
        return self.name, started.seconds(), ended.seconds(), bar


def main() -> int:
    """Print the table; return 1 when the bar is missed. ``--quick`` never misses."""
    quick = "--quick" in sys.argv
    with TemporaryDirectory() as folder:
        options = ("--url", "http://127.0.0.1:9", "--patience", "1ms")
        spool = ("--spool", folder)
        ours = Side("afterrun exec", str(AFTERRUN), "exec", "x", *options, *spool, "--")
        plain = Side("the command alone")
        for _ in range(QUICK if quick else ROUNDS):
            plain.once()
            ours.once()
    needed = Measured(ours.started).median
    print(table(HEAD, [plain.line(""), ours.line(verdict(needed, BAR, "s"))]))
    return int(not quick and needed > BAR)


if __name__ == "__main__":
    sys.exit(main())
