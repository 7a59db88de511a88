"""AfterRun exporter: did the scheduled job work, and did it run at all?"""

from __future__ import annotations


def __getattr__(name: str) -> str:
    # The lookup takes longer than all other imports of `afterrun exec`.
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("afterrun-exporter")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
