"""A directory of files is one configuration; each problem names its file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import load, parse, read, source, warnings
from afterrun_exporter.errors import ConfigError

#: One file with all that may be in several, in the order of the parts of it.
WHOLE = """\
defaults: {grace: 10m}
labels: [team, tier]
projects:
  one: {ping_key: "aaaaaaaaaaaaaaaaaaaaaa"}
  two: {ping_key: "bbbbbbbbbbbbbbbbbbbbbb"}
policies:
  - {match: {name: "^a"}, severity: critical}
  - {match: {name: "^b"}, grace: 1h}
jobs:
  alpha: {every: 1h, labels: {team: data}}
  beta: {every: 2h, depends_on: [alpha]}
"""
PARTS = {
    "10-common.yml": "defaults: {grace: 10m}\nlabels: [team]\n",
    "20-a.yaml": """\
labels: [team, tier]
projects:
  one: {ping_key: "aaaaaaaaaaaaaaaaaaaaaa"}
policies:
  - {match: {name: "^a"}, severity: critical}
jobs:
  alpha: {every: 1h, labels: {team: data}}
""",
    "30-b.yml": """\
projects:
  two: {ping_key: "bbbbbbbbbbbbbbbbbbbbbb"}
policies:
  - {match: {name: "^b"}, grace: 1h}
jobs:
  beta: {every: 2h, depends_on: [alpha]}
""",
}


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write *files* into *folder*, and return it."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def problems(path: Path) -> list[str]:
    """Return the lines of the error for *path*, without its name."""
    with pytest.raises(ConfigError) as refused:
        load(path)
    return [line.replace(f"{path}/", "") for line in str(refused.value).splitlines()]


def test_the_files_are_merged_into_one(tmp_path: Path) -> None:
    whole, merged = parse(WHOLE), load(written(tmp_path, PARTS))

    assert merged.hash == whole.hash
    assert merged.jobs == whole.jobs
    assert merged.label_keys == whole.label_keys == ("team", "tier")
    assert merged.job_config.projects == whole.job_config.projects


def test_other_files_are_not_read(tmp_path: Path) -> None:
    """Editors and the kubelet write hidden ones."""
    others = dict.fromkeys(
        (".hidden.yml", "a.yml~", "b.yml.bak", "README.md", "c.txt"), "{"
    )
    written(tmp_path / "inner.d", {"d.yml": "{"})
    written(tmp_path, PARTS | others)

    assert [Path(file.name).name for file in read(tmp_path).files] == sorted(PARTS)


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    """The kubelet links each file to one in a directory that it replaces."""
    written(tmp_path / "..2026_11_29", {"a.yml": "jobs: {a: {every: 1h}}"})
    (tmp_path / "..data").symlink_to("..2026_11_29")
    (tmp_path / "a.yml").symlink_to("..data/a.yml")

    assert [*load(tmp_path).jobs] == ["a"]


def test_each_problem_has_its_file_and_line(tmp_path: Path) -> None:
    """Also of lists, whose items have another position there."""
    parts = PARTS | {
        "40-c.yml": "policies:\n  - {match: {name: '^c'}, grase: 1h}\n"
        "jobs:\n  gamma:\n    evry: 1h\n    depends_on: [alfa]\n",
        "50-d.yml": "labels: [team, 'bad key']\nlimits: {jobs: -1}\n",
    }

    assert [line.split(": ")[:2] for line in problems(written(tmp_path, parts))] == [
        ["40-c.yml:2", "policies[0].grase"],
        ["40-c.yml:5", "jobs.gamma.evry"],
        ["40-c.yml:6", "jobs.gamma.depends_on[0]"],
        ["50-d.yml:1", "labels[1]"],
        ["50-d.yml:2", "limits.jobs"],
    ]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        pytest.param(
            "# text\njobs:\n  b: {}\n  a: {every: 2h}\n",
            "b.yml:4: jobs.a: duplicate key, first in a.yml:2",
            id="job",
        ),
        pytest.param(
            'projects:\n  p: {ping_key: "bbbbbbbbbbbbbbbbbbbbbb"}\n',
            "b.yml:2: projects.p: duplicate key, first in a.yml:4",
            id="project",
        ),
        pytest.param(
            "defaults: {grace: 1m}\n",
            "b.yml:1: defaults: duplicate key, first in a.yml:5: only jobs, projects, "
            "policies and labels may be in several files",
            id="section",
        ),
        pytest.param(
            "dedup_window: 5s\n",
            "b.yml:1: dedup_window: duplicate key, first in a.yml:6: only jobs, projects, "
            "policies and labels may be in several files",
            id="value",
        ),
    ],
)
def test_a_duplicate_names_both_places(
    tmp_path: Path, second: str, problem: str
) -> None:
    first = (
        "jobs:\n  a: {}\nprojects:\n  p: {ping_key: aaaaaaaaaaaaaaaaaaaaaa}\n"
        "defaults: {grace: 1h}\ndedup_window: 5s\n"
    )

    assert problems(written(tmp_path, {"a.yml": first, "b.yml": second})) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"b.yml:1: {parse.__globals__['EMPTY']}"),
        ("# nothing\n", f"b.yml:1: {parse.__globals__['EMPTY']}"),
        ("jobs: {a\n", "b.yml:2: not YAML: did not find expected ',' or '}' while "),
        ("- a\n", "b.yml:1: expected keys and values, not a list"),
        ("jobs: [a]\n", "b.yml:1: jobs: expected keys and values, not a list"),
        (
            "labels: team\n",
            "b.yml:1: labels: expected a list such as [one, two], not a",
        ),
        ("jobs: {c: }\njbos: {}\n", "b.yml:2: jbos: unknown key; did you mean 'jobs'?"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    """An empty one would retire the jobs that were in it."""
    (found,) = problems(written(tmp_path, {"a.yml": "jobs: {}", "b.yml": text}))

    assert found.startswith(problem)


def test_files_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    """A pipe does not block the check."""
    written(tmp_path, {"a.yml": "jobs: {}"})
    os.mkfifo(tmp_path / "b.yml")
    (tmp_path / "c.yml").symlink_to("absent")
    (tmp_path / "d.yml").mkdir()
    (tmp_path / "e.yml").write_bytes(b"jobs:\n  a: {description: \xe9}\n")

    hint = "is not a regular file: rename it, so that it does not end in .yml"
    assert problems(tmp_path) == [
        f"b.yml: {hint}",
        "c.yml: cannot be read: No such file or directory",
        f"d.yml: {hint}",
        "e.yml:2: not UTF-8: byte 0xe9",
    ]


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    """A volume that is not mounted looks like this."""
    with pytest.raises(ConfigError, match=r"has no \*\.yml files"):
        load(tmp_path)


def test_all_files_together_have_a_limit(tmp_path: Path) -> None:
    for name in ("a.yml", "b.yml"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(source.MAX_BYTES * 2 // 3)

    assert problems(tmp_path) == ["b.yml: larger than 128MiB"]


def test_a_directory_that_changes_meanwhile_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half of one version and the second of another are none."""
    written(tmp_path, {"a.yml": "jobs: {old: {}}", "b.yml": "jobs: {other: {}}"})
    reads = []
    original = source.read_text

    def read_text(path: Path, most: int) -> str:
        text = original(path, most)
        reads.append(path.name)
        if len(reads) == 1:
            written(tmp_path, {"a.yml": "jobs: {newer: {}}"})
        return text

    monkeypatch.setattr(source, "read_text", read_text)

    assert [*load(tmp_path).jobs] == ["newer", "other"]
    assert reads == ["a.yml", "b.yml"] * 2


def test_warnings_have_their_file(tmp_path: Path) -> None:
    parts = {"a.yml": "jobs: {}", "b.yml": "jobs:\n  x: {schedule: '*/7 * * * *'}\n"}
    made = read(written(tmp_path, parts))
    (warning,) = warnings(made, load(tmp_path), 0.0)

    assert (warning.file, warning.line) == (str(tmp_path / "b.yml"), 2)


names = st.sampled_from([f"j{n}" for n in range(12)])


@given(st.lists(st.dictionaries(names, st.integers(1, 9), max_size=6), min_size=2))
def test_every_job_is_kept_or_a_duplicate(
    tmp_path_factory: pytest.TempPathFactory, parts: list[dict[str, int]]
) -> None:
    """However the jobs are spread, none is lost, and each later one is reported."""
    folder = tmp_path_factory.mktemp("parts")
    for number, jobs in enumerate(parts):
        lines = "".join(f"  {name}: {{every: {n}h}}\n" for name, n in jobs.items())
        (folder / f"{number:03}.yml").write_text(f"jobs:\n{lines or '  {}'}\n")
    expected, duplicates = dict[str, int](), 0
    for jobs in parts:
        duplicates += len(jobs.keys() & expected.keys())
        expected = jobs | expected

    if duplicates:
        assert len(problems(folder)) == duplicates
    else:
        assert load(folder).jobs.keys() == expected.keys()
