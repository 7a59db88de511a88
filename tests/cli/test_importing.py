"""`afterrun import`: from files to an afterrun.yml."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli import import_input, importing
from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.config import load
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    InputFile,
    Source,
    Unmapped,
)


def read(files: Sequence[InputFile]) -> Imported:
    """Return a job for each line NAME PERIOD; a line that starts with ? is unmapped."""
    jobs, unmapped = [], []
    for file in files:
        for number, line in enumerate(file.text.splitlines(), start=1):
            source = Source(file.name, number)
            if line == "!":
                raise ConfigError(
                    file.name, [Problem(number, "", "not a list of jobs")]
                )
            if line.startswith("?"):
                unmapped.append(Unmapped(source, line[1:], "has no name\nat all"))
                continue
            name, _, every = line.partition(" ")
            jobs.append(ImportedJob(name, {"every": every}, source))
    return Imported(tuple(jobs), unmapped=tuple(unmapped))


@pytest.fixture(autouse=True)
def _lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A source that reads lists of jobs."""
    source = importing.ImportSource("Lists.", reader="lists", suffixes=(".list",))
    monkeypatch.setitem(importing.SOURCES, "lists", source)
    module = SimpleNamespace(read=read)
    monkeypatch.setattr(importing, "import_module", lambda _: module)
    monkeypatch.chdir(tmp_path)
    return iter([None])


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(afterrun, ["import", "lists", *arguments], input=stdin)


def test_jobs_are_printed_as_a_configuration() -> None:
    Path("a.list").write_text("a 1h\nb 2h\n", "utf-8")

    result = run("a.list")

    assert result.exit_code == 0
    assert result.stdout == (
        "jobs:\n  # from a.list, line 1\n  a:\n    every: 1h\n\n"
        "  # from a.list, line 2\n  b:\n    every: 2h\n"
    )


def test_standard_input_is_read() -> None:
    assert "# from stdin, line 1" in run("-", stdin=b"a 1h\n").stdout


def test_a_directory_is_read_in_order_without_other_and_hidden_files() -> None:
    for name in ("d/b.list", "d/a.list", "d/e/c.list", "d/x.txt", "d/.h.list"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"{Path(name).stem} 1h\n", "utf-8")

    result = run("d")

    lines = [line for line in result.stdout.splitlines() if "#" in line]
    assert [line.split()[2] for line in lines] == [
        "d/a.list,",
        "d/b.list,",
        "d/e/c.list,",
    ]


def test_what_is_not_imported_is_listed_one_per_line_and_the_exit_status_is_3() -> None:
    result = run("-", stdin=b"a 1h\n?x\nb 1 hour ago\n")

    assert result.exit_code == 3
    assert "a:" in result.stdout
    assert result.stderr.splitlines() == [
        "stdin:2: x: has no name at all",
        (
            "stdin:3: b: not imported: '1 hour ago' is not a duration; write it like 90s, "
            "15m, 1h30m or 7d"
        ),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a 1h\n\xff 2h", "stdin:2: not UTF-8: byte 0xff"),
        (b"a 1h\n\0", "stdin:2: not text: it has a null byte"),
        (b"a 1h\n!", "stdin:2: not a list of jobs"),
    ],
)
def test_invalid_input_is_an_error_with_its_line(data: bytes, message: str) -> None:
    result = run("-", stdin=data)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{message}\n"


def test_every_unreadable_file_is_reported() -> None:
    Path("empty").mkdir()

    result = run("a.list", "empty", "http://127.0.0.1:1/x.list")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "a.list: cannot be read: No such file or directory",
        "empty: the directory has no files to import",
        (
            "http://127.0.0.1:1/x.list: cannot be read: no response from "
            "http://127.0.0.1:1: Connection refused"
        ),
    ]


def test_input_has_a_maximum_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_input, "MAX_BYTES", 2**20)

    result = run("-", stdin=b"#" * (2**20 + 1))

    assert result.stderr == "stdin: larger than 1MiB: split it\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'FILE'; - reads standard input."),
        (("-", "--dry-run"), "--dry-run needs --into: without it nothing is written"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments, stdin=b"")

    assert result.exit_code == 2
    assert message in result.stderr


def test_an_unknown_source_gets_a_suggestion() -> None:
    result = CliRunner().invoke(afterrun, ["import", "list"])

    assert result.exit_code == 2
    assert "unknown source 'list'; did you mean 'lists'?" in result.stderr


def test_help_lists_the_sources() -> None:
    result = CliRunner().invoke(afterrun, ["import", "--help"])

    assert "  lists  " in result.stdout


OLD = """\
# All jobs.
jobs:
  old:
    every: 1h
"""


def test_jobs_are_added_to_a_file_once() -> None:
    Path("afterrun.yml").write_text(OLD, "utf-8")

    result = run("-", "--into=afterrun.yml", stdin=b"new 2h\n")

    assert result.exit_code == 0
    assert result.stdout == "afterrun.yml: added new\n"
    added = OLD + "\n  # from stdin, line 1\n  new:\n    every: 2h\n"
    assert Path("afterrun.yml").read_text("utf-8") == added
    again = run("-", "--into=afterrun.yml", stdin=b"new 2h\n")
    assert (again.exit_code, again.stdout) == (0, "afterrun.yml: no changes\n")
    assert Path("afterrun.yml").read_text("utf-8") == added


def test_a_dry_run_prints_a_diff_and_writes_nothing() -> None:
    Path("afterrun.yml").write_text(OLD.rstrip("\n"), "utf-8")

    result = run("-", "--into=afterrun.yml", "--dry-run", stdin=b"new 2h\n")

    assert result.stdout == (
        """\
--- afterrun.yml
+++ afterrun.yml
@@ -1,4 +1,8 @@
 # All jobs.
 jobs:
   old:
-    every: 1h
\\ No newline at end of file
+    every: 1h
+
+  # from stdin, line 1
+  new:
+    every: 2h
"""
    )
    assert Path("afterrun.yml").read_text("utf-8") == OLD.rstrip("\n")


def test_a_job_that_differs_is_left_and_reported() -> None:
    Path("afterrun.yml").write_text(OLD, "utf-8")

    result = run("-", "--into=afterrun.yml", stdin=b"old 2h\nnew 1h\n")

    assert result.exit_code == 3
    assert result.stdout == "afterrun.yml: added new\n"
    assert result.stderr == (
        "stdin:1: old: is left as in afterrun.yml:3: every is 1h there, 2h here\n"
    )


def test_a_file_keeps_its_mode_owner_byte_order_mark_and_symbolic_link() -> None:
    target = Path("real.yml")
    target.write_text("\ufeff" + OLD.replace("\n", "\r\n"), "utf-8", newline="")
    target.chmod(0o640)
    if os.getuid() == 0:
        os.chown(target, 1, 2)
    before = target.stat()
    Path("afterrun.yml").symlink_to(target)

    assert run("-", "--into=afterrun.yml", stdin=b"new 2h\n").exit_code == 0

    after = target.stat()
    assert Path("afterrun.yml").is_symlink()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (
        before.st_uid,
        before.st_gid,
        0o640,
    )
    assert target.read_bytes().startswith(b"\xef\xbb\xbf# All jobs.\r\njobs:\r\n")
    assert target.read_bytes().endswith(b"    every: 2h\r\n")


@pytest.mark.parametrize("old", [None, "", "# nothing\n"])
def test_a_missing_or_empty_file_becomes_a_configuration(old: str | None) -> None:
    if old is not None:
        Path("afterrun.yml").write_text(old, "utf-8")

    assert run("-", "--into=afterrun.yml", stdin=b"new 2h\n").exit_code == 0

    assert [*load(Path("afterrun.yml")).jobs] == ["new"]


def test_an_invalid_file_is_not_changed() -> None:
    Path("afterrun.yml").write_text("jobs: {a: {evry: 1h}}\n", "utf-8")

    result = run("-", "--into=afterrun.yml", stdin=b"new 2h\n")

    assert result.exit_code == 1
    assert "afterrun.yml:1: jobs.a.evry: unknown key" in result.stderr
    assert Path("afterrun.yml").read_text("utf-8") == "jobs: {a: {evry: 1h}}\n"


def test_a_file_that_would_become_invalid_is_not_changed() -> None:
    policy = "limits: {jobs: 1}\njobs:\n  old: {}\n"
    Path("afterrun.yml").write_text(policy, "utf-8")

    result = run("-", "--into=afterrun.yml", stdin=b"new 2h\n")

    assert result.exit_code == 1
    assert result.stderr == (
        "afterrun.yml: is not changed, because these would be its problems:\n"
        "afterrun.yml:1: limits.jobs: 1 is less than the 2 jobs of this file\n"
    )
    assert Path("afterrun.yml").read_text("utf-8") == policy


def test_a_file_that_cannot_be_written_is_an_error() -> None:
    result = run("-", "--into=none/afterrun.yml", stdin=b"new 2h\n")

    assert result.exit_code == 1
    assert result.stderr == (
        "none/afterrun.yml: cannot be written: No such file or directory\n"
    )
