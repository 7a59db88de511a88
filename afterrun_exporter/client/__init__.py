"""Report runs from Python, with the standard library alone and without raising.

    from afterrun_exporter.client import job, ping, run

    with run("import") as r:            # or: async with
        r.metric("rows_processed", n)

    @job("nightly-report")              # functions and coroutine functions
    def report(): ...

A report that cannot be delivered now waits in the spool, as with ``afterrun exec``.
"""

from __future__ import annotations

from afterrun_exporter.client.python_api import Run, aping, job, ping, run

__all__ = ["Run", "aping", "job", "ping", "run"]
