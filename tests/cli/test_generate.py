"""`afterrun generate`, as its user sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.generate import generate

RULES = "rules/afterrun.rules.yml"
PROMETHEUS = {RULES, "rules/tests/afterrun.test.yml"}
ALERTMANAGER = {
    "alertmanager/alertmanager.yml",
    "alertmanager/inhibitions.test.yml",
    "alertmanager/routes.test",
    "alertmanager/templates/afterrun.tmpl",
}
GRAFANA = {
    f"grafana/dashboards/{name}.json"
    for name in ("afterrun", "afterrun-exporter", "afterrun-job")
}
ALL = {*PROMETHEUS, *ALERTMANAGER, *GRAFANA}


def _generate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(generate, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (["prometheus"], PROMETHEUS),
        (["alertmanager"], ALERTMANAGER),
        (["grafana"], GRAFANA),
        (["all"], ALL),
        ([], ALL),
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


def test_a_bad_configuration_shows_every_problem_and_writes_nothing(
    tmp_path: Path,
) -> None:
    """As `afterrun check` would."""
    config = tmp_path / "afterrun.yml"
    config.write_text("jobs: {a: {grcae: 1h}, b: {depends_on: [b]}}")

    result = _generate("--config.file", config, "--out", tmp_path / "out")

    assert result.exit_code == 1
    assert result.stderr == (
        f"{config}:1: jobs.a.grcae: unknown key; did you mean 'grace'?\n"
        f"{config}:1: jobs.b.depends_on: is a cycle: b -> b; "
        "remove one of them\n"
    )
    assert not (tmp_path / "out").exists()


def test_paths_in_the_configuration_start_from_where_it_is(tmp_path: Path) -> None:
    """`base:` is found wherever the command is run."""
    config = tmp_path / "etc" / "afterrun.yml"
    config.parent.mkdir()
    config.write_text("alertmanager: {base: ours.yml}")
    base = "route: {receiver: us}\nreceivers: [{name: us}]\n"
    (config.parent / "ours.yml").write_text(base)

    result = _generate("alertmanager", "--config.file", config, "--out", tmp_path)

    assert result.exit_code == 0, result.output
    merged = (tmp_path / "alertmanager/alertmanager.yml").read_text()
    assert "receiver: us" in merged


def test_the_files_are_for_one_configuration(tmp_path: Path) -> None:
    """Prometheus says so when the daemon has loaded another one."""
    config = tmp_path / "afterrun.yml"
    config.write_text("jobs: {a: {every: 1h}}")
    _generate("--config.file", config, "--out", tmp_path)
    config.write_text("# The same.\njobs: {a: {every: 1h}}")
    assert _generate("--config.file", config, "--check", "--out", tmp_path).output == ""
    config.write_text("jobs: {a: {every: 2h}}")

    result = _generate("--config.file", config, "--check", "--out", tmp_path)

    assert result.exit_code == 1
    assert "afterrun_config_info{hash!~" in result.stdout


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


@pytest.mark.parametrize("path", sorted(ALL))
def test_what_somebody_else_wrote_is_not_overwritten(tmp_path: Path, path: str) -> None:
    """It is named, and nothing else is written either."""
    theirs = tmp_path / path
    theirs.parent.mkdir(parents=True)
    theirs.write_text("{}\n")

    result = _generate("--out", tmp_path)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: '{theirs}' has no 'Generated by' header")
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [theirs]


def test_what_is_there_may_be_generated_anew(tmp_path: Path) -> None:
    """By an older version, for another configuration, or edited since."""
    _generate("--out", tmp_path)
    for path in ALL:
        with (tmp_path / path).open("a") as file:
            file.write("\n")

    assert _generate("--out", tmp_path).exit_code == 0
    assert _generate("--check", "--out", tmp_path).exit_code == 0


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


def without_extra(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


NEEDED = "the dashboards need an extra: pip install 'afterrun-exporter[grafana]'\n"


@pytest.mark.thorough
def test_without_the_extra_only_the_dashboards_are_missing(tmp_path: Path) -> None:
    """All else is written and checked; how to get them is said each time."""
    results = [without_extra(*more, "--out", tmp_path) for more in ([], ["--check"])]

    assert [(one.returncode, one.stderr) for one in results] == [
        (0, f"skipped grafana: {NEEDED}")
    ] * 2
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {tmp_path / path for path in PROMETHEUS | ALERTMANAGER}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("what", "code", "said"),
    [("prometheus", 0, ""), ("grafana", 1, f"Error: {NEEDED}")],
)
def test_without_the_extra_what_was_asked_for_is_done_or_not(
    tmp_path: Path, what: str, code: int, said: str
) -> None:
    """Dashboards alone cannot be left out."""
    result = without_extra(what, "--out", tmp_path)

    assert (result.returncode, result.stderr) == (code, said)
    assert any(tmp_path.iterdir()) is (code == 0)
