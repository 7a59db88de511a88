"""`afterrun` itself: its version, and commands it does not have."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter import __version__
from afterrun_exporter.cli.group import afterrun


def _afterrun(*arguments: str) -> Result:
    return CliRunner().invoke(afterrun, arguments, prog_name="afterrun")


@pytest.mark.parametrize("way", ["--version", "version"])
def test_it_tells_its_version(way: str) -> None:
    """As a flag and as a command, in the same words."""
    result = _afterrun(way)

    assert (result.exit_code, result.output) == (0, f"afterrun {__version__}\n")


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
