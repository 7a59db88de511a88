"""Every file under configs/web/ is what its folder says it is, as with afterrun.yml."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from afterrun_exporter.auth.web_config import TLS, ClientAuth, Pem
from afterrun_exporter.config.document import read
from afterrun_exporter.config.web_loading import load_web
from afterrun_exporter.config.web_schema import HTTPSpec, TLSSpec, WebSpec
from afterrun_exporter.errors import ConfigError
from tests.config.test_example_files import promised

WEB = Path(__file__).parents[1] / "configs" / "web"
GOOD_FILES = sorted((WEB / "good").glob("*.yml"))
BAD_FILES = sorted((WEB / "bad").glob("*.yml"))
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_a_bad_file_says_what_its_first_lines_promise(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_web(path)

    assert [str(problem) for problem in caught.value.problems] == promised(path)


@pytest.mark.parametrize("path", GOOD_FILES, ids=lambda path: path.stem)
def test_a_good_file_loads(path: Path) -> None:
    load_web(path)


def test_the_folders_are_not_empty() -> None:
    assert len(GOOD_FILES) >= 4
    assert len(BAD_FILES) >= 10


def test_no_secret_is_in_what_is_said_of_a_bad_file() -> None:
    for path in BAD_FILES:
        with pytest.raises(ConfigError) as caught:
            load_web(path)
        assert "hunter2" not in str(caught.value)
        assert "12345" not in str(caught.value)


def test_every_key_means_what_it_does_elsewhere() -> None:
    """Relative paths start at the file, and OpenSSL's names stand for those of Go."""
    path = WEB / "good" / "all_keys.yml"

    _, found = load_web(path)

    assert found.tls == TLS(
        cert=Pem(path=path.parent / "server.crt"),
        key=Pem(path=Path("/etc/afterrun/server.key")),
        client_auth=ClientAuth.REQUIRED,
        client_ca=Pem(path=path.parent / "ca.crt"),
        client_sans=frozenset({"prometheus.example", "10.0.0.1"}),
        ciphers=("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
        prefer_ours=False,
        curve="X25519",
    )
    assert found.files == (
        path.parent / "server.crt",
        Path("/etc/afterrun/server.key"),
        path.parent / "ca.crt",
    )
    assert found.headers == {
        "Content-Security-Policy": "default-src 'none'",
        "X-Frame-Options": "deny",
        "X-Content-Type-Options": "nosniff",
        "X-XSS-Protection": "0",
        "Strict-Transport-Security": "max-age=31536000",
    }
    assert found.users == {"prometheus": HASH, "anna": HASH}


def test_the_file_with_every_key_has_every_key() -> None:
    """But for those that stand for others, and the one that has no effect."""
    data = read((WEB / "good" / "all_keys.yml").read_text("utf-8")).data
    assert isinstance(data, dict)

    assert {*data, "rate_limit"} == WebSpec.model_fields.keys()
    inline = {"cert", "key", "client_ca"}
    assert {*data["tls_server_config"], *inline} == TLSSpec.model_fields.keys()
    assert {*data["http_server_config"]} == HTTPSpec.model_fields.keys()
    known = HTTPSpec.model_fields["headers"].default.model_dump(by_alias=True)
    assert {*data["http_server_config"]["headers"]} == known.keys()


def test_keys_of_other_exporters_are_tolerated_with_the_reason() -> None:
    """A file that several exporters share starts this one, too."""
    _, found = load_web(WEB / "good" / "of_other_exporters.yml")

    assert [key for key, _ in found.ignored] == [
        "http_server_config.http2",
        "rate_limit",
    ]
    assert "HTTP/1.1" in found.ignored[0][1]
    assert "--web.max-requests" in found.ignored[1][1]


def test_ciphers_of_tls_1_3_alone_leave_no_other_version(tmp_path: Path) -> None:
    """There they are not a choice, but they say what is wanted."""
    file = tmp_path / "web.yml"
    file.write_text(
        "tls_server_config: {cert_file: a, key_file: b, "
        "cipher_suites: [TLS_AES_128_GCM_SHA256]}"
    )

    _, found = load_web(file)

    assert found.tls is not None
    assert (found.tls.min_version, found.tls.ciphers) == ("TLS13", ())


@pytest.mark.parametrize("name", ["empty", "users"])
def test_promtool_takes_what_is_taken_here(name: str) -> None:
    """It looks for the files, too, so that one with certificates is tried elsewhere."""
    done = subprocess.run(
        ["promtool", "check", "web-config", str(WEB / "good" / f"{name}.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
