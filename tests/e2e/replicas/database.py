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


#: What a replica writes when it leaves is older than that.
_LONG_LIVES = """
CREATE FUNCTION live_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seen_at > clock_timestamp() - interval '30 s' THEN
        NEW.seen_at := NEW.seen_at + interval '1 h';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER live_on BEFORE INSERT OR UPDATE ON writers
    FOR EACH ROW EXECUTE FUNCTION live_on();
UPDATE writers SET seen_at = seen_at
"""
_USUAL_LIVES = """
DROP TRIGGER live_on ON writers;
DROP FUNCTION live_on;
UPDATE writers SET seen_at = seen_at - interval '1 h' WHERE seen_at > clock_timestamp()
"""


@contextmanager
def long_lives(database: Database) -> Iterator[None]:
    """Let replicas count as alive for an hour after each of their signs of life.

    On a busy machine a replica may give none for so long that it counts as gone.
    """
    database.psql(_LONG_LIVES)
    try:
        yield
    finally:
        database.psql(_USUAL_LIVES)


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
