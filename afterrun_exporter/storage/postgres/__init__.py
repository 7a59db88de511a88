"""A store in PostgreSQL, which several replicas can share."""

from __future__ import annotations

from importlib.util import find_spec

from afterrun_exporter.errors import StorageError

if find_spec("asyncpg") is None:
    raise StorageError(
        "the package asyncpg is not installed, which PostgreSQL requires: "
        "pip install 'afterrun-exporter[postgres]', or in a clone '.[postgres]'"
    )
