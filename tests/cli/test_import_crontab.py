"""`afterrun import crontab`, with the program of cron."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli import crontab_files
from afterrun_exporter.cli.atomic_file import replace_file
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.this_machine import machine_zone
from afterrun_exporter.config.loading import parse
from tests.importers.cron import rewritten

TEXT = """\
# Nightly backup
MAILTO=""
0 2 * * * /opt/backup.sh "$HOME" 100\\%

@daily  cd /x && ./y.sh | gzip > z
"""
UNKNOWN = "# \u00e4 %s\n5 * * * * root /usr/bin/sync\n"


def run(*arguments: str, stdin: str | None = None) -> Result:
    options = ["--afterrun=/usr/bin/afterrun", "--timezone=UTC"]
    return CliRunner().invoke(
        afterrun, ["import", "crontab", *options, *arguments], input=stdin
    )


def installed() -> str:
    result = subprocess.run(
        ["crontab", "-l"], capture_output=True, text=True, check=False
    )
    return result.stdout


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for backups, and the crontab of the user with the text."""
    if installed():
        pytest.skip("the user has a crontab, which tests do not touch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crontab_files, "default_backups", lambda: tmp_path / "backups")
    subprocess.run(["crontab", "-"], input=TEXT, text=True, check=True)
    yield tmp_path / "backups"
    subprocess.run(["crontab", "-r"], capture_output=True, check=False)


pytestmark = pytest.mark.xdist_group("crontab")


def test_the_crontab_of_the_user_is_the_default(crontab: Path) -> None:
    result = run()

    assert result.exit_code == 0
    assert "# from crontab, line 3\n" in result.stdout
    assert result.stdout.endswith(
        "\n# crontab: The lines with `afterrun exec`; --apply writes them:\n"
        '# 0 2 * * * /usr/bin/afterrun exec backup -- /opt/backup.sh "$HOME" 100\\%\n'
        "# @daily  /usr/bin/afterrun exec y -- bash -o pipefail -c "
        "'cd /x && ./y.sh | gzip > z'\n"
    )
    parse(result.stdout)
    assert not crontab.exists()


def test_the_whole_crontab_is_printed_as_cron_accepts_it(crontab: Path) -> None:
    result = run("--crontab")

    assert result.stdout == rewritten(TEXT)
    checked = ["crontab", "-n", "-"]
    subprocess.run(checked, input=result.stdout, text=True, check=True)
    assert not crontab.exists()


def test_it_is_applied_once_after_a_backup_and_undone(crontab: Path) -> None:
    first = run("--into=afterrun.yml", "--apply")

    assert first.exit_code == 0, first.output
    assert installed() == rewritten(TEXT)
    (folder,) = crontab.iterdir()
    assert first.stdout == (
        "afterrun.yml: added backup, y\ncrontab: 2 lines rewritten\n"
        f"backup: {folder} (--undo restores it)\n"
    )
    assert (folder / "0-crontab").read_text("utf-8") == TEXT
    again = run("--into=afterrun.yml", "--apply")
    assert installed() == rewritten(TEXT)
    assert again.stdout.endswith("crontab: no changes\n")

    undone = run("--undo")

    assert (undone.exit_code, undone.stdout) == (0, "crontab: restored\n")
    assert installed() == TEXT
    assert run("--undo").stderr == f"{crontab}: has no backup\n"


def test_machines_with_the_same_jobs_have_a_prefix(tmp_path: Path) -> None:
    crontab, config = tmp_path / "crontab", tmp_path / "afterrun.yml"
    crontab.write_text(
        "@daily /opt/backup.sh\n@daily curl http://m/ping/own\n", "utf-8"
    )
    for host in ("web1", "web2", "web2"):
        result = run("--prefix", f"{host}-", "--into", str(config), str(crontab))
        assert result.exit_code == 0

    assert "exec web2-backup -- /opt/backup.sh" in result.stdout
    jobs = [line for line in config.read_text("utf-8").splitlines() if line[2:3] > "#"]
    assert jobs == ["jobs:", "  web1-backup:", "  own:", "  web2-backup:"]


def test_a_dry_run_shows_the_changes_and_writes_nothing(crontab: Path) -> None:
    result = run("--apply", "--dry-run", "--into=afterrun.yml")

    assert result.exit_code == 0
    assert "+++ afterrun.yml\n" in result.stdout
    assert "+++ crontab\n" in result.stdout
    assert installed() == TEXT
    assert not crontab.exists()
    assert not Path("afterrun.yml").exists()


def test_a_crontab_that_changed_since_is_not_restored(crontab: Path) -> None:
    run("--apply")
    subprocess.run(["crontab", "-"], input=TEXT + TEXT, text=True, check=True)

    result = run("--undo")

    assert result.exit_code == 1
    assert result.stderr.startswith("crontab: has changed since: restore by hand")
    assert str(crontab) in result.stderr
    assert installed() == TEXT + TEXT


@pytest.mark.usefixtures("crontab")
def test_a_user_without_a_crontab_gets_an_error() -> None:
    subprocess.run(["crontab", "-r"], check=True)

    result = run()

    assert result.exit_code == 1
    assert result.stderr.startswith("crontab: no crontab for ")


def test_files_of_the_system_are_replaced_as_a_whole_and_restored(
    crontab: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cron.d"
    folder.mkdir()
    system = folder / "sync"
    system.write_text(UNKNOWN, "utf-8")
    system.chmod(0o600)
    (folder / "ignored.bak").write_text("0 1 * * * root /x\n", "utf-8")
    (folder / ".placeholder").write_text("", "utf-8")

    result = run(str(folder), "--apply")

    assert result.exit_code == 0, result.stderr
    assert "ignored.bak: not read, like by Debian's cron" in result.stderr
    assert ".placeholder" not in result.stderr
    assert system.read_text("utf-8") == UNKNOWN.replace(
        "/usr/bin/sync", "/usr/bin/afterrun exec sync -- /usr/bin/sync"
    )
    assert stat.S_IMODE(system.stat().st_mode) == 0o600
    assert sorted(one.name for one in folder.iterdir()) == [
        ".placeholder",
        "ignored.bak",
        "sync",
    ]
    assert installed() == TEXT
    assert crontab.exists()
    assert run("--undo").stdout == f"{system}: restored\n"
    assert system.read_text("utf-8") == UNKNOWN


@pytest.mark.usefixtures("crontab")
def test_a_file_that_cannot_be_written_leaves_all_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("@daily /x\n", "utf-8")
    replace = replace_file

    def failing(path: Path, data: bytes) -> None:
        if path.name == "b":
            raise PermissionError(13, "Permission denied")
        replace(path, data)

    monkeypatch.setattr(crontab_files, "replace_file", failing)
    result = run("a", "b", "--apply")

    assert result.exit_code == 1
    assert result.stderr.endswith("b: cannot be written: Permission denied\n")
    assert (tmp_path / "a").read_text("utf-8") == "@daily /x\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-", "--apply"), "--apply writes files, and the user's crontab"),
        (("a", "b", "--crontab"), "--crontab prints one crontab, and writes nothing"),
        (("-", "--timezone=Mars"), "unknown time zone 'Mars'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments, stdin="")

    assert result.exit_code == 2
    assert message in result.stderr


def test_lines_that_are_not_imported_are_listed() -> None:
    result = run("-", stdin="61 * * * * /x\n@reboot /y\n0 1 * * * /z\n")

    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        "stdin:1: 61 * * * * /x: minute '61' is out of range; use 0-59",
        (
            "stdin:2: @reboot /y: @reboot has no time, so no run can be missed: imported "
            "without a schedule, and its runs are checked"
        ),
    ]


@pytest.mark.parametrize(
    ("target", "file", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Riga", None, "Europe/Riga"),
        ("/usr/share/zoneinfo/Etc/UTC", None, "UTC"),
        ("/etc/localtime", "Asia/Tokyo\n", "Asia/Tokyo"),
        ("/etc/localtime", "Mars\n", ""),
    ],
)
def test_the_time_zone_is_that_of_the_machine(
    target: str, file: str | None, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "realpath", lambda _: target)
    monkeypatch.setattr(Path, "read_text", lambda *_: file)

    assert machine_zone() == zone
