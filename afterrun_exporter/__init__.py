"""AfterRun exporter: did the scheduled job work, and did it run at all?"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("afterrun-exporter")
