"""`afterrun` itself: its version, and commands it does not have."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter import __version__
from afterrun_exporter.cli import version
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.main import client_command
from afterrun_exporter.cli.version import find_revision


def _afterrun(*arguments: str) -> Result:
    return CliRunner().invoke(afterrun, arguments, prog_name="afterrun")


@pytest.mark.parametrize("way", ["--version", "version"])
def test_it_tells_its_version_and_what_it_runs_on(way: str) -> None:
    """As a flag and as a command, in the same words."""
    result = _afterrun(way)

    commit, branch = find_revision()
    assert result.exit_code == 0
    first, *rest = result.output.splitlines()
    assert first.startswith(f"afterrun, version {__version__}")
    assert (commit in first, branch in first) == (True, True)
    assert rest == [
        f"  python version:   {platform.python_version()}",
        f"  platform:         {platform.system().lower()}/{platform.machine()}",
    ]


@pytest.mark.parametrize(
    ("commit", "branch", "built"),
    [
        ("0123456789ab", "main", " (branch: main, revision: 0123456789ab)"),
        ("0123456789ab", "", " (revision: 0123456789ab)"),
        ("", "", ""),
    ],
)
def test_its_version_has_the_branch_and_the_revision_as_far_as_they_are_known(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    commit: str,
    branch: str,
    built: str,
) -> None:
    (tmp_path / "revision.txt").write_text(f"{commit}\n{branch}\n", "utf-8")
    monkeypatch.setattr(version, "REVISION", tmp_path / "revision.txt")

    first, *_ = _afterrun("--version").output.splitlines()

    assert first == f"afterrun, version {__version__}{built}"


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        (["exec", "a", "--", "ls"], "exec", ["a", "--", "ls"]),
        (["exec", "a", "--", "ls", "--help"], "exec", ["a", "--", "ls", "--help"]),
        (["exec", "a", "-h", "--", "ls"], "", ["exec", "-h"]),
        (["spool", "flush", "--all"], "spool flush", ["--all"]),
        (["spool", "list", "--help"], "", ["spool", "list", "-h"]),
        (["spool"], "", ["spool"]),
        (["spool", "lst"], "", ["spool", "lst"]),
        (["jobs", "--json"], "", ["jobs", "--json"]),
        ([], "", []),
    ],
)
def test_jobs_do_not_wait_for_click_unless_it_has_help_to_show(
    words: list[str], name: str, arguments: list[str]
) -> None:
    assert client_command(words) == (name, arguments)


@pytest.mark.parametrize("name", ["exec", "ping", "spool flush", "spool list", "jobs"])
def test_help_looks_alike_for_all_commands(name: str) -> None:
    result = _afterrun(*name.split(), "--help")

    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: afterrun {name} [OPTIONS]")
    assert re.search(r"^Options:$", result.output, re.MULTILINE)
    assert re.search(
        r"^  -h, --help +Show this message and exit\.$", result.output, re.MULTILINE
    )


def test_each_command_of_the_spool_offers_its_own_options() -> None:
    assert "--all" in _afterrun("spool", "flush", "-h").output
    assert "--all" not in _afterrun("spool", "list", "-h").output


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["jobs", "--colour"], "No such option"),
        (["ping", "--colour", "x"], "No such option: --colour"),
        (["pause"], "Missing argument 'JOB'."),
        (["ping"], "Missing argument 'JOB'."),
        (
            ["exec", "a", "--timeout", "5", "--", "ls"],
            "Invalid value for '--timeout': ",
        ),
    ],
)
def test_mistakes_look_alike_for_all_commands(words: list[str], problem: str) -> None:
    result = _afterrun(*words)

    usage, help_, empty, error = result.stderr.splitlines()
    assert usage.startswith(f"Usage: afterrun {words[0]} [OPTIONS]")
    assert help_ == f"Try 'afterrun {words[0]} --help' for help."
    assert (empty, result.exit_code) == ("", 2)
    assert error.startswith(f"Error: {problem}")


def test_a_mistyped_command_is_told_what_was_meant() -> None:
    """The nearest one there is."""
    result = _afterrun("chek")

    assert result.exit_code == 2
    assert "No such command 'chek'; did you mean 'check'?" in result.output


def test_a_command_like_no_other_is_refused() -> None:
    """Without a guess."""
    result = _afterrun("deploy")

    assert result.exit_code == 2
    assert "No such command 'deploy'." in result.output


def test_help_lists_every_command() -> None:
    """With a line on each."""
    result = _afterrun("--help")

    assert result.exit_code == 0
    for command in ("serve", "check", "generate", "version"):
        assert f"\n  {command} " in result.output
