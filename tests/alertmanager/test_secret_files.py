"""Files with secrets: a missing one is noticed before a notification is lost."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from afterrun_exporter.alertmanager import secret_files
from afterrun_exporter.alertmanager.secret_files import SecretFiles
from afterrun_exporter.cli.managed_config import secret_warnings, secrets_of
from afterrun_exporter.config import parse

ALL = """
alertmanager:
  {config_file}
  smtp: {{smarthost: "mail:587", auth_username: me, auth_password_file: secrets/smtp}}
  slack_url_file: secrets/slack
  receivers:
    oncall:
      - email: a@example.com
      - slack: {{channel: "#a"}}
      - slack: {{url_file: /elsewhere/slack}}
      - discord: {{url_file: secrets/discord}}
      - webhook: {{url: "https://example.com", authorization_file: secrets/token}}
      - webhook: {{url: "https://example.com/2"}}
      - pagerduty: {{routing_key_file: secrets/pagerduty}}
    others: [slack: {{channel: "#b"}}]
jobs: {{}}
"""


def logged(lines: list[MutableMapping[str, Any]]) -> list[str]:
    return [line["problem"] for line in lines]


async def test_each_missing_secret_is_logged_once(tmp_path: Path) -> None:
    """Until it is there; then again when it is gone."""
    slack, empty = tmp_path / "slack", tmp_path / "empty"
    empty.write_text(" \n")
    files = SecretFiles()
    files.watch([slack, empty])

    with capture_logs() as first:
        await files.check()
    assert logged(first) == [
        f"{slack} cannot be read: No such file or directory",
        f"{empty} is empty",
    ]
    assert files.missing == 2

    slack.write_text("https://hooks.example/1\n")
    with capture_logs() as second:
        await files.check()
    assert (logged(second), files.missing) == ([], 1)

    slack.unlink()
    with capture_logs() as third:
        await files.check()
    assert len(logged(third)) == 1
    assert files.missing == 2


async def test_a_secret_of_another_user_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alertmanager runs as that user, the daemon does not."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    files = SecretFiles()
    files.watch([tmp_path / "slack"])

    await files.check()

    assert files.missing == 0
    problem = secret_files.problem_of(tmp_path / "slack")
    assert problem == "cannot be read: Permission denied"


async def test_without_a_managed_file_nothing_is_known(tmp_path: Path) -> None:
    """Alertmanager may run on another host."""
    files = SecretFiles()
    files.watch([tmp_path / "slack"])
    await files.check()

    files.watch(None)
    await files.check()

    assert files.missing is None
    assert secrets_of(parse(ALL.format(config_file="")), tmp_path) is None


def test_the_secrets_are_beside_the_managed_file(tmp_path: Path) -> None:
    """Each once, and also those that are somewhere else."""
    config = parse(ALL.format(config_file="config_file: am/alertmanager.yml"))

    found = secrets_of(config, tmp_path)

    names = ("smtp", "slack", "discord", "token", "pagerduty")
    beside = {tmp_path / "am/secrets" / name for name in names}
    assert found is not None
    assert set(found) == {*beside, Path("/elsewhere/slack")}
    assert len(found) == len(set(found))


def test_a_check_warns_at_each_key(tmp_path: Path) -> None:
    config = parse(ALL.format(config_file="config_file: am/alertmanager.yml"))
    secrets = tmp_path / "am/secrets"
    secrets.mkdir(parents=True)
    (secrets / "smtp").write_text("x")
    (secrets / "slack").write_text("x")

    found = dict(secret_warnings(config, tmp_path))

    oncall = ("alertmanager", "receivers", "oncall")
    missing = "cannot be read: No such file or directory"
    assert found == {
        (*oncall, 2): f"/elsewhere/slack {missing}",
        (*oncall, 3): f"{secrets}/discord {missing}",
        (*oncall, 4): f"{secrets}/token {missing}",
        (*oncall, 6): f"{secrets}/pagerduty {missing}",
    }


def test_a_check_does_not_guess_where_a_relative_path_begins(tmp_path: Path) -> None:
    """That is the working directory of Alertmanager."""
    found = dict(secret_warnings(parse(ALL.format(config_file="")), tmp_path))

    assert [message.split()[0] for message in found.values()] == ["/elsewhere/slack"]
