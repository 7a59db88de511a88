"""TLS: with verify-full, nobody else can be the server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from afterrun_exporter.errors import StorageError
from afterrun_exporter.storage.postgres.store import PostgresStore
from afterrun_exporter.storage.store import update
from tests.e2e.network import LOOPBACK, wait_for
from tests.postgres import Server, running_server
from tests.storage.decisions import ran
from tests.storage.postgres.stores import LoneClock

ENCRYPTED = """
SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
WHERE application_name = 'afterrun'
"""


async def test_the_certificate_of_the_server_is_verified(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    files = []
    for name, one in (("ca.crt", authority), ("other.crt", other)):
        one.cert_pem.write_to_path(tmp_path / name)
        files.append(tmp_path / name)
    with running_server() as server:
        use_tls(server, authority.issue_cert(LOOPBACK))
        url = f"{server.new_database().url}?sslmode=verify-full&sslrootcert="

        async with PostgresStore.open(f"{url}{files[0]}", clock=LoneClock()) as store:
            await update(store, "backup", ran())
            is_encrypted = server.psql(ENCRYPTED)

        assert is_encrypted == "t"
        wrong_name = f"{url}{files[0]}".replace(LOOPBACK, "localhost")
        for wrong, problem in (
            (f"{url}{files[1]}", "certificate verify failed"),
            (wrong_name, "Hostname mismatch"),
        ):
            with pytest.raises(StorageError, match=problem):
                async with PostgresStore.open(wrong, clock=LoneClock()):
                    pass


def use_tls(server: Server, certificate: trustme.LeafCert) -> None:
    """Have *server* accept TLS with *certificate*."""
    key, chain = server.data / "server.key", server.data / "server.crt"
    certificate.private_key_pem.write_to_path(key)
    certificate.cert_chain_pems[0].write_to_path(chain)
    owner = server.data.stat()
    for file in (key, chain):
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(0o600)
    server.psql("ALTER SYSTEM SET ssl = on")
    server.psql("SELECT pg_reload_conf()")
    wait_for(lambda: server.psql("SHOW ssl") == "on")
