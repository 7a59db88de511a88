"""`afterrun generate`, as its user sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.generate import generate

RULES = "rules/afterrun.rules.yml"
DASHBOARD = "grafana/dashboards/afterrun.json"


def _generate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(generate, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (["prometheus"], {RULES}),
        (["grafana"], {DASHBOARD}),
        (["all"], {RULES, DASHBOARD}),
        ([], {RULES, DASHBOARD}),
    ],
)
def test_it_writes_what_is_asked_for(
    tmp_path: Path, what: list[str], expected: set[str]
) -> None:
    """And says where."""
    result = _generate(*what, "--out", tmp_path)

    assert result.exit_code == 0, result.output
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {tmp_path / path for path in expected}
    assert result.output == "".join(f"wrote {path}\n" for path in sorted(found))


def test_check_agrees_with_what_was_just_written(tmp_path: Path) -> None:
    """Quiet success: nothing to do."""
    _generate("--out", tmp_path)

    result = _generate("--check", "--out", tmp_path)

    assert (result.exit_code, result.output) == (0, "")


def test_check_shows_what_is_out_of_date_and_leaves_it(tmp_path: Path) -> None:
    """A diff to read, exit 1 for a build, and an untouched file."""
    _generate("--out", tmp_path)
    rules = tmp_path / RULES
    edited = rules.read_text().replace("AfterRunJobMissed", "AfterRunJobLate", 1)
    rules.write_text(edited)

    result = _generate("--check", "--out", tmp_path)

    assert result.exit_code == 1
    assert "-      - alert: AfterRunJobLate\n" in result.stdout
    assert "+      - alert: AfterRunJobMissed\n" in result.stdout
    assert result.stderr == "out of date; run `afterrun generate`\n"
    assert rules.read_text() == edited


def test_the_checked_in_files_are_up_to_date() -> None:
    """What a build runs."""
    root = Path(__file__).parents[2]

    result = _generate("--check", "--out", root)

    assert result.exit_code == 0, result.output


def test_an_error_is_one_line(tmp_path: Path) -> None:
    """No traceback for what the user can mend."""
    (tmp_path / "rules").write_text("in the way")

    result = _generate("prometheus", "--out", tmp_path)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot write '{tmp_path}/{RULES}': ")
    assert result.stderr.count("\n") == 1


# A finder that says what Python says when a package is not installed.
WITHOUT_EXTRA = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "grafana_foundation_sdk":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from afterrun_exporter.cli.generate import generate
generate()
"""


@pytest.mark.parametrize(("what", "exit_code"), [("prometheus", 0), ("all", 1)])
def test_without_the_extra_only_the_dashboard_is_missing(
    tmp_path: Path, what: str, exit_code: int
) -> None:
    """It names the command that mends it, and writes all files or none."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, what, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == exit_code, result.stderr
    if exit_code:
        assert result.stderr == (
            "Error: the dashboard needs an extra: "
            "pip install 'afterrun-exporter[grafana]'\n"
        )
        assert list(tmp_path.iterdir()) == []
