"""What does the daemon spend its time on while it is pinged? Draws profile.svg.

``python -m benchmarks.flame [single|batch]``; it needs py-spy.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Final

from benchmarks.daemon import serving
from benchmarks.fleet import registered_files
from benchmarks.machine import leave_the_servers_alone
from benchmarks.wrk import Kind, Load

JOBS: Final = 10_000
AGE: Final = 10
SECONDS: Final = 15

_PY_SPY: Final = Path(sys.executable).with_name("py-spy")
_DRAWING: Final = Path("profile.svg")


def main() -> int:
    """Draw; return what py-spy returns."""
    kind: Kind = "batch" if "batch" in sys.argv else "single"
    leave_the_servers_alone()
    with (
        TemporaryDirectory() as folder,
        serving(*registered_files(Path(folder), JOBS, AGE), pinned=True) as daemon,
    ):
        load = Load(kind=kind, port=daemon.port, jobs=JOBS)
        with load.going_on("profile") as told:
            sleep(1)
            command = (
                str(_PY_SPY),
                "record",
                f"--pid={daemon.pid}",
                f"--output={_DRAWING}",
                f"--duration={SECONDS}",
                "--rate=100",
                "--threads",
                # What is spent in uvloop, SQLite and the kernel, too.
                "--native",
            )
            drawn = subprocess.run(command, check=False).returncode
        print(f"{_DRAWING}: {told[0].rate:,.0f} pings a second, py-spy watching")
    return drawn


if __name__ == "__main__":
    sys.exit(main())
