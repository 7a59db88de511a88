"""What a database of replicas holds, and transactions that somebody leaves open in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.replicas.tcp_proxy import TcpProxy
from tests.postgres import SUPERUSER, Database, program


def rows(database: Database, select: str) -> list[dict[str, Any]]:
    """Return the rows of a SELECT, each by the names of its columns."""
    text = database.psql(f"SELECT coalesce(json_agg(r), '[]') FROM ({select}) AS r")  # noqa: S608
    found: list[dict[str, Any]] = json.loads(text)
    return found


def through(proxy: TcpProxy, database: Database) -> str:
    """Return the address of *database* as it is behind *proxy*."""
    return database.url.replace(f":{database.server.port}/", f":{proxy.port}/")


@contextmanager
def open_transaction(database: Database, *statements: str) -> Iterator[None]:
    """Leave a transaction open for a while, after these statements."""
    server = database.server
    address = ["-h", str(server.folder), "-p", str(server.port), "-U", SUPERUSER]
    with subprocess.Popen(
        [program("psql"), "-XAtq", *address, database.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        lines = ("BEGIN", *statements, "SELECT 'opened'")
        client.stdin.write("".join(f"{line};\n" for line in lines))
        client.stdin.flush()
        while (line := client.stdout.readline()) != "opened\n":
            assert line, "psql has ended"
        try:
            yield
        finally:
            client.stdin.close()
