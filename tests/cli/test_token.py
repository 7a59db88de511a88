"""`afterrun token new`: what it prints opens what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from afterrun_exporter import config as configs
from afterrun_exporter.auth.authenticator import Authenticator
from afterrun_exporter.auth.callers import Scope
from afterrun_exporter.auth.tokens import callers
from afterrun_exporter.cli.group import afterrun


@pytest.mark.parametrize(
    ("options", "name", "scopes", "jobs"),
    [
        (["--scope", "ping"], "ping", {Scope.PING}, None),
        (["--scope", "scrape", "--scope", "read"], "scrape-read",
         {Scope.SCRAPE, Scope.READ}, None),
        (["--scope", "ping", "--jobs", r"o'x-\d+", "--name", 'my "db": {x}'],
         'my "db": {x}', {Scope.PING}, r"o'x-\d+"),
        (["--scope", "admin", "--scope", "admin"], "admin", {Scope.ADMIN}, None),
    ],
)  # fmt: skip
def test_what_it_prints_can_be_pasted(
    options: list[str], name: str, scopes: set[Scope], jobs: str | None
) -> None:
    """The token alone goes to stdout; the file never has it."""
    result = CliRunner().invoke(afterrun, ["token", "new", *options])

    assert result.exit_code == 0
    token = result.stdout.strip()
    section = result.stderr[result.stderr.index("auth:") :]
    (kept,) = configs.parse(section).tokens
    assert (kept.name, {*kept.scopes}, kept.jobs) == (name, scopes, jobs)
    authenticator = Authenticator()
    authenticator.trust_tokens(callers([kept]))
    assert authenticator.caller_if_known(f"Bearer {token}") is not None
    assert token not in section


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "Missing option '--scope'"),
        (
            ["--scope", "pings"],
            "'pings' is not one of 'ping', 'scrape', 'read', 'manage', 'reload', 'admin'",
        ),
        (["--scope", "read", "--jobs", "a"], "--jobs only limits scope ping"),
        (["--scope", "ping", "--jobs", "("], "--jobs '(' is not a regular expression"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], problem: str) -> None:
    result = CliRunner().invoke(afterrun, ["token", "new", *options])

    assert result.exit_code == 2
    assert problem in result.stderr


def test_a_token_in_the_place_of_its_hash_is_not_repeated(tmp_path: Path) -> None:
    """An error text is read by more people than the file."""
    file = tmp_path / "afterrun.yml"
    file.write_text("auth: {tokens: [{name: a, hash: ar_s3cret, scopes: [ping]}]}")

    result = CliRunner().invoke(afterrun, ["check", str(file)])

    assert result.exit_code == 1
    assert "is not the hash of a token" in result.stderr
    assert "s3cret" not in result.output
