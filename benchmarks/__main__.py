"""Run every benchmark, each in a process of its own: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from benchmarks import generate, pings, scrape, start

ALL: Final = (pings, scrape, start, generate)


def main() -> int:
    """Print every table; return 1 when a bar is missed."""
    failed = 0
    for module in ALL:
        title = (module.__doc__ or "").partition("\n")[0]
        print(f"## {title}\n", flush=True)
        command = (sys.executable, "-m", module.__name__)
        failed |= subprocess.run(command, check=False).returncode
        print(flush=True)
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
