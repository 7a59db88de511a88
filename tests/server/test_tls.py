"""TLS: what is shown, whose certificates are taken, and what cannot be used."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from afterrun_exporter.auth.web_config import TLS, Pem
from afterrun_exporter.cli.web_config import read
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.tls import context_of
from tests.fakes import ManualClock, MemoryStore
from tests.patience import PATIENCE
from tests.server.tls import EC, Papers, encrypted

OK = "HTTP/1.1 200 OK"


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    made = Papers(tmp_path)
    made.issue()
    return made


async def test_connections_are_encrypted(
    papers: Papers, service: Service, clock: ManualClock, store: MemoryStore
) -> None:
    """Reports too, on their short way, as many as a connection brings."""
    async with encrypted(papers.write(), service, clock) as daemon:
        reader, writer = await daemon.connect(papers.client())
        for _ in range(3):
            writer.write(b"POST /ping/backup HTTP/1.1\r\nHost: x\r\n")
            writer.write(b"Content-Length: 2\r\n\r\n{}")
            assert (await reader.readline()).decode().strip() == OK
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split()[0]))
        writer.close()

    assert len(await store.runs("backup", 9)) == 1


async def test_who_does_not_encrypt_gets_no_answer(
    papers: Papers, service: Service, clock: ManualClock
) -> None:
    async with encrypted(papers.write(), service, clock) as daemon:
        assert await daemon.asked(None) == ""
        assert await daemon.asked(papers.client()) == OK


async def test_a_new_certificate_is_shown_without_a_restart(
    papers: Papers, service: Service, clock: ManualClock
) -> None:
    """Connections that stand go on."""
    client = papers.client()
    async with encrypted(papers.write(), service, clock) as daemon:
        standing = await daemon.connect(client)
        before = await daemon.shown(client)

        papers.issue("localhost", "new.example")
        with capture_logs() as lines:
            await daemon.web_file.look()
            await daemon.web_file.look()

        after = await daemon.shown(client)
        assert before["serialNumber"] != after["serialNumber"]
        assert ("DNS", "new.example") in after["subjectAltName"]
        assert await daemon.get(standing) == OK
        standing[1].close()
    assert [line["event"] for line in lines] == ["web_config_loaded"]


async def test_who_is_trusted_changes_too(
    papers: Papers, service: Service, clock: ManualClock
) -> None:
    """A CA that is taken out of the file is trusted no more."""
    file = papers.write(
        "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.crt"
    )
    old, other = papers.client("a.example"), trustme.CA(key_type=EC)
    new = papers.client("a.example", of=other)
    async with encrypted(file, service, clock) as daemon:
        assert [await daemon.asked(one) for one in (old, new)] == [OK, ""]

        (papers.folder / "ca.crt").write_bytes(other.cert_pem.bytes())
        await daemon.web_file.look()

        assert [await daemon.asked(one) for one in (old, new)] == ["", OK]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tls_server_config: {cert_file: a", "not YAML"),
        ("tls_server_config: {cert_file: a, key_file: b}", "a cannot be read"),
        ("", "TLS cannot be turned on or off while the daemon runs: restart it"),
        ("basic_auth_users: {a: b}", "is not a bcrypt hash"),
    ],
)
async def test_a_bad_new_file_changes_nothing(
    papers: Papers, service: Service, clock: ManualClock, text: str, problem: str
) -> None:
    """It is told once, and the old one stays until there is a good one."""
    client = papers.client()
    async with encrypted(papers.write(), service, clock) as daemon:
        before = await daemon.shown(client)

        papers.file.write_text(text)
        with capture_logs() as lines:
            await daemon.web_file.look()
            await daemon.web_file.look()

        assert await daemon.shown(client) == before
        (line,) = lines
        assert line["event"] == "web_config_refused"
        assert problem in line["problems"]
        with pytest.raises(ConfigError, match=problem):
            await daemon.web_file.read()

        papers.write()
        papers.issue()
        await daemon.web_file.look()
        assert await daemon.shown(client) != before


#: Who connects: with the certificate of nobody, of one who may, of one with another
#: name, of one whom nobody trusts.
@pytest.mark.parametrize(
    ("lines", "answered"),
    [
        ([], "nobody named other foreign"),
        (["client_auth_type: NoClientCert"], "nobody named other foreign"),
        (
            ["client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.crt"],
            "nobody named other",
        ),
        (
            ["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.crt"],
            "named other",
        ),
        (
            [
                "client_auth_type: RequireAndVerifyClientCert",
                "client_ca_file: ca.crt",
                "client_allowed_sans: [prometheus.example]",
            ],
            "named",
        ),
        (
            [
                "client_auth_type: RequireAndVerifyClientCert",
                "client_ca_file: ca.crt",
                "client_allowed_sans: [nobody.example, '10.0.0.1', '::1']",
            ],
            "other",
        ),
        (
            [
                "client_auth_type: RequireAndVerifyClientCert",
                "client_ca_file: ca.crt",
                "client_allowed_sans: []",
            ],
            "",
        ),
        # Whom the system trusts: nobody here.
        (["client_auth_type: RequireAndVerifyClientCert"], ""),
    ],
)
@pytest.mark.parametrize(
    "fast",
    [
        pytest.param(True, id="fast path"),
        pytest.param(False, id="safe path", marks=pytest.mark.thorough),
    ],
)
async def test_a_client_is_let_in_by_its_certificate(
    papers: Papers,
    service: Service,
    clock: ManualClock,
    lines: list[str],
    answered: str,
    fast: bool,
) -> None:
    clients = {
        "nobody": papers.client(),
        "named": papers.client("prometheus.example"),
        "other": papers.client("grafana.example", "::1"),
        "foreign": papers.client("prometheus.example", of=trustme.CA(key_type=EC)),
    }
    file = papers.write(*lines)
    async with encrypted(file, service, clock, fast=fast) as daemon:
        found = [name for name, one in clients.items() if await daemon.asked(one) == OK]

    assert found == answered.split()


def knows_x25519() -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ecdh_curve("X25519")
    except ssl.SSLError:
        return False
    return True


NEEDS_X25519 = pytest.mark.skipif(
    not knows_x25519(), reason="Python 3.11.2 of Debian 12 lacks this curve"
)


@pytest.mark.parametrize(
    ("line", "version", "cipher", "curve", "answered"),
    [
        ("min_version: TLS12", "TLSv1_2", "", "", True),
        ("min_version: TLS13", "TLSv1_2", "", "", False),
        ("min_version: TLS13", "TLSv1_3", "", "", True),
        ("max_version: TLS12", "TLSv1_3", "", "", False),
        ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", "TLSv1_2",
         "ECDHE-ECDSA-AES128-GCM-SHA256", "", True),
        ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]", "TLSv1_2",
         "ECDHE-ECDSA-AES256-GCM-SHA384", "", False),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]", "TLSv1_2", "", "", False),
        pytest.param("curve_preferences: [X25519]", "TLSv1_3", "", "X25519", True, marks=NEEDS_X25519),
        pytest.param("curve_preferences: [X25519]", "TLSv1_3", "", "prime256v1", False, marks=NEEDS_X25519),
        ("curve_preferences: [CurveP384]", "TLSv1_3", "", "secp384r1", True),
        pytest.param("curve_preferences: [CurveP384]", "TLSv1_3", "", "X25519", False, marks=NEEDS_X25519),
    ],
)  # fmt: skip
async def test_how_connections_are_encrypted_can_be_chosen(
    papers: Papers,
    service: Service,
    clock: ManualClock,
    line: str,
    version: str,
    cipher: str,
    curve: str,
    answered: bool,
) -> None:
    papers.ca = trustme.CA(key_type=EC)
    papers.issue()
    client = papers.client()
    client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
    if cipher:
        client.set_ciphers(cipher)
    if curve:
        client.set_ecdh_curve(curve)
    async with encrypted(papers.write(line), service, clock) as daemon:
        assert (await daemon.asked(client) == OK) is answered


@pytest.mark.parametrize(
    ("line", "setter", "key"),
    [
        ("curve_preferences: [X25519]", "set_ecdh_curve", "curve_preferences"),
        ("curve_preferences: [CurveP384]", "set_ecdh_curve", "curve_preferences"),
        (
            "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
            "set_ciphers",
            "cipher_suites",
        ),
    ],
)
@pytest.mark.parametrize("error", [ssl.SSLError("unknown group"), ValueError("x")])
def test_what_this_python_does_not_know_is_named_with_its_place(
    papers: Papers,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    setter: str,
    key: str,
    error: Exception,
) -> None:
    """Not a traceback: web.yml may be that of another machine."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(ssl.SSLContext, setter, refuse)

    with pytest.raises(ConfigError, match=rf"{key}: Python 3\..* does not know "):
        read(papers.write(line))


def test_whose_preference_counts_can_be_chosen(papers: Papers) -> None:
    ours = read(papers.write()).context
    theirs = read(papers.write("prefer_server_cipher_suites: false")).context

    assert ours is not None
    assert theirs is not None
    assert ours.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert not theirs.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_no_suite_of_its_own_choice_is_one_with_cbc(papers: Papers) -> None:
    context = read(papers.write()).context
    assert context is not None

    suites = [one["name"] for one in context.get_ciphers()]
    assert suites
    assert [one for one in suites if "GCM" not in one and "CHACHA20" not in one] == []


@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_a_key_that_all_may_read_is_told(papers: Papers, mode: int, told: int) -> None:
    (papers.folder / "server.key").chmod(mode)

    with capture_logs() as lines:
        read(papers.write())

    events = [line["event"] for line in lines]
    assert events.count("private_key_readable") == told


def test_certificates_may_stand_in_the_file_itself(papers: Papers) -> None:
    """OpenSSL wants files; it gets some that nobody else can read, and only then."""
    folder = papers.folder
    pems = [Pem(text=(folder / f"server.{end}").read_text()) for end in ("crt", "key")]

    context = context_of(TLS(cert=pems[0], key=pems[1]))

    assert context.cert_store_stats() is not None


ENCRYPTED_KEY = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi4sOKvNbPAJQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEBzWlr5VzLvfXZSZBF7ZYDkEgZCb
-----END ENCRYPTED PRIVATE KEY-----
"""


MISSING = "cannot be read: No such file or directory"
OTHER_KEY = trustme.CA(key_type=EC).issue_cert("x", key_type=EC).private_key_pem


@pytest.mark.parametrize(
    ("file", "text", "line", "problem"),
    [
        ("server.crt", None, 2, f"cert_file: CRT {MISSING}"),
        ("server.key", None, 3, f"key_file: KEY {MISSING}"),
        ("server.crt", "", 2, "cert_file: CRT has no certificate in PEM"),
        ("server.key", "hunter2", 3, "key_file: KEY has no private key in PEM"),
        ("server.key", ENCRYPTED_KEY, 3,
         "key_file: KEY cannot be read: is it encrypted?"),
        ("server.key", OTHER_KEY.bytes().decode(), 3,
         "key_file: KEY is not the key of CRT"),
        ("ca.crt", "hunter2", 5, "client_ca_file: CA has no certificate in PEM"),
        ("ca.crt", None, 5, f"client_ca_file: CA {MISSING}"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(
    papers: Papers, file: str, text: str | None, line: int, problem: str
) -> None:
    path = papers.write(
        "client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.crt"
    )
    (papers.folder / file).unlink()
    if text is not None:
        (papers.folder / file).write_text(text)

    with pytest.raises(ConfigError) as caught:
        read(path)

    names = {"CRT": "server.crt", "KEY": "server.key", "CA": "ca.crt"}
    for word, name in names.items():
        problem = re.sub(rf"\b{word}\b", f"{papers.folder}/{name}", problem)
    assert str(caught.value) == f"{path}:{line}: tls_server_config.{problem}"


async def test_a_handshake_that_is_too_many_is_closed_before_it_begins(
    papers: Papers, service: Service, clock: ManualClock
) -> None:
    limits = Limits(connections=2, asking=2 * PATIENCE)
    async with encrypted(papers.write(), service, clock, limits) as daemon:
        silent = [await daemon.connect(None) for _ in range(3)]

        async with asyncio.timeout(PATIENCE):
            assert await silent[2][0].read() == b""
        assert await daemon.asked(papers.client()) == ""
        for _, writer in silent:
            writer.close()


async def test_handshakes_that_begin_together_are_not_more_than_the_limit(
    papers: Papers, service: Service, clock: ManualClock
) -> None:
    limits = Limits(connections=2, asking=2 * PATIENCE)
    async with encrypted(papers.write(), service, clock, limits) as daemon:
        # The event loop does not run meanwhile, so it finds all of them at once.
        silent = [
            socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(5)
        ]
        async with asyncio.timeout(PATIENCE):
            for too_many in silent[2:]:
                too_many.setblocking(False)
                received = await asyncio.get_running_loop().sock_recv(too_many, 1)
                assert received == b""
        for connection in silent:
            connection.close()


async def test_a_handshake_that_does_not_end_is_given_up(
    papers: Papers, service: Service, clock: ManualClock
) -> None:
    """And there is room for another one."""
    limits = Limits(connections=2, asking=2)
    async with encrypted(papers.write(), service, clock, limits) as daemon:
        silent = [await daemon.connect(None) for _ in range(2)]
        async with asyncio.timeout(PATIENCE):
            for reader, _ in silent:
                assert await reader.read() == b""

            # On a busy machine, one that ends may take longer than the limit as well.
            client = papers.client()
            while await daemon.asked(client) != OK:
                pass
        for _, writer in silent:
            writer.close()
