"""Run every benchmark, each in a process of its own: ``python -m benchmarks``.

``--quick`` runs those that have a short form, for a first impression.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from benchmarks import (
    api,
    backtest,
    client,
    generate,
    page,
    peer_pings,
    peer_scrapes,
    pings,
    report,
    scrape,
    start,
)

QUICK: Final = (peer_pings, peer_scrapes, start, client)
ALL: Final = (*QUICK, pings, scrape, api, generate, page, report, backtest)


def main() -> int:
    """Print every table; return 1 when a bar is missed."""
    flags = [flag for flag in sys.argv[1:] if flag == "--quick"]
    failed = 0
    for module in QUICK if flags else ALL:
        title = (module.__doc__ or "").partition("\n")[0]
        print(f"## {title}\n", flush=True)
        command = (sys.executable, "-m", module.__name__, *flags)
        failed |= subprocess.run(command, check=False).returncode
        print(flush=True)
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
