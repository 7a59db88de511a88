"""The web configuration of a daemon, and the flags that have to do with who comes in."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from afterrun_exporter.auth.callers import Caller, Scope
from afterrun_exporter.auth.credentials import Credentials
from afterrun_exporter.cli.flags import MIN_FILES
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.web_config import WebFile, warn_if_open
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.server.addresses import parse
from afterrun_exporter.server.connection_limits import Limits
from afterrun_exporter.server.listen import OTHER_FILES, with_files_for
from afterrun_exporter.server.security import SecuritySettings


def write(file: Path, password: bytes, more: str = "") -> None:
    kept = bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()
    file.write_text(f"basic_auth_users: {{anna: '{kept}'}}\n{more}")


async def may_come_in(security: SecuritySettings, password: str) -> bool:
    shown = Credentials(user=("anna", password))
    return await security.authenticator.caller(shown) is not None


async def test_users_are_those_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    """A password that is changed is the old one no more."""
    file, security = tmp_path / "web.yml", SecuritySettings()
    write(file, b"old")
    web_file = WebFile(file, security)
    web_file.apply(await web_file.read())
    assert await may_come_in(security, "old")

    write(file, b"new-one", "http_server_config: {headers: {X-Frame-Options: deny}}")
    await web_file.look()

    assert await may_come_in(security, "new-one")
    assert not await may_come_in(security, "old")
    assert security.headers.lines == b"X-Frame-Options: deny\r\n"


async def test_a_file_that_is_gone_opens_nothing(tmp_path: Path) -> None:
    """Nor does one that is empty for a moment, while it is written."""
    file, security = tmp_path / "web.yml", SecuritySettings()
    write(file, b"secret")
    web_file = WebFile(file, security)
    web_file.apply(await web_file.read())

    with capture_logs() as lines:
        file.unlink()
        await web_file.look()
        file.write_text("")
        await web_file.look()

    assert [line["event"] for line in lines] == ["web_config_refused"] * 2
    assert not security.authenticator.is_open
    assert await may_come_in(security, "secret")
    # Whoever asks for it means it.
    web_file.apply(await web_file.read())
    assert security.authenticator.is_open


async def test_what_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    """Or everybody's password would be checked anew, every second."""
    file, security = tmp_path / "web.yml", SecuritySettings()
    write(file, b"secret")
    web_file = WebFile(file, security)
    web_file.apply(await web_file.read())
    await may_come_in(security, "secret")
    header = "Basic YW5uYTpzZWNyZXQ="

    await web_file.look()
    web_file.apply(await web_file.read())

    assert security.authenticator.caller_if_known(header) is not None


async def test_without_a_file_nothing_is_read() -> None:
    web_file = WebFile(None, SecuritySettings())

    web_file.apply(await web_file.read())
    await web_file.look()

    assert not web_file.encrypts


async def test_a_file_that_is_not_there_is_an_error_of_the_start(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        await WebFile(tmp_path / "none.yml", SecuritySettings()).read()


@pytest.mark.parametrize(
    ("binds", "told"),
    [
        (["127.0.0.1:1"], False),
        (["[::1]:1"], False),
        (["localhost:1"], False),
        (["127.0.0.1:1", "127.9.9.9:2"], False),
        ([":1"], True),
        (["0.0.0.0:1"], True),
        (["[::]:1"], True),
        (["192.0.2.1:1"], True),
        (["afterrun.example:1"], True),
        (["127.0.0.1:1", "192.0.2.1:2"], True),
    ],
)
def test_a_daemon_that_everybody_reaches_and_may_use_says_so(
    binds: list[str], told: bool
) -> None:
    with capture_logs() as lines:
        assert warn_if_open(SecuritySettings(), [parse(one) for one in binds]) is told

    assert [line["event"] for line in lines] == ["open_to_everybody"] * told


def test_one_with_locks_says_nothing() -> None:
    security = SecuritySettings()
    security.authenticator.trust_tokens({"x": Caller("a", frozenset({Scope.PING}))})

    with capture_logs() as lines:
        assert not warn_if_open(security, [parse(":1")])

    assert lines == []


@pytest.fixture
def files_allowed() -> Iterator[tuple[int, int]]:
    """How many files this process may have; it is so again afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_system_is_asked_for_as_many_files_as_it_takes(
    files_allowed: tuple[int, int],
) -> None:
    """Its default of 1024 is for programs with few connections."""
    _, hard = files_allowed
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))

    limits = with_files_for(Limits(connections=1000, refused_at_once=200))

    assert limits == Limits(connections=1000, refused_at_once=200)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1200 + OTHER_FILES


def test_more_connections_than_there_may_be_files_are_not_promised(
    files_allowed: tuple[int, int],
) -> None:
    _, hard = files_allowed

    with capture_logs() as lines:
        limits = with_files_for(Limits(connections=hard))

    assert limits.connections + limits.refused_at_once == hard - OTHER_FILES
    assert [line["event"] for line in lines] == ["fewer_connections"]


def test_of_few_files_most_are_for_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And some for those that are told that they are too many."""
    made = []
    for files in (MIN_FILES, 256, 1024):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files,) * 2)
        monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
        limits = with_files_for(Limits())
        made.append((files, limits.connections, limits.refused_at_once))

    assert made == [(128, 48, 16), (256, 144, 48), (1024, 720, 240)]


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--web.trusted-proxy=10.0.0.1/8", "10.0.0.1/8 has host bits set; write it"),
        ("--web.trusted-proxy=proxy", "'proxy' does not appear to be an IPv4 or"),
        ("--web.max-connections=0", "0 is not in the range x>=1"),
        ("--web.config.file=/none.yml", "/none.yml: cannot be read: No such file"),
    ],
)
def test_a_flag_that_cannot_be_is_refused_at_the_start(
    tmp_path: Path, flag: str, problem: str
) -> None:
    where = f"--storage.path={tmp_path / 'x.db'}"

    result = CliRunner().invoke(afterrun, ["serve", where, flag])

    assert result.exit_code in {1, 2}
    assert problem in result.stderr


def test_config_check_looks_at_the_web_configuration_too(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config: {cert_file: a.crt, key_file: a.key}")

    result = CliRunner().invoke(
        afterrun, ["serve", "--config.check", f"--web.config.file={file}"]
    )

    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"{file}:1: tls_server_config.cert_file: {tmp_path}"
    )
