"""`afterrun backup` beside a daemon; the copies themselves: tests/storage/test_backup.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from afterrun_exporter.cli.group import afterrun


def test_a_backup_leaves_the_processor_to_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered_by: list[int] = []
    monkeypatch.setattr("os.nice", lowered_by.append)
    absent = f"--storage.path={tmp_path / 'afterrun.db'}"

    result = CliRunner().invoke(afterrun, ["backup", str(tmp_path / "copy"), absent])

    assert result.exit_code == 1
    assert lowered_by == [10]
