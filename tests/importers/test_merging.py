"""Insertion of jobs into an existing afterrun.yml."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import document
from afterrun_exporter.config.loading import parse
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers.merging import merge
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    ImportedPolicy,
    Source,
)

NEW = ImportedJob(
    "new", {"schedule": "*/5 * * * *", "labels": {"env": "x"}}, Source("tab", 3)
)
NUMBER = ImportedJob("404", {}, Source("tab", 4))
POLICY = ImportedPolicy({"match": {"name": "^a"}, "severity": "info"}, Source("tab"))
EVERYTHING = Imported((NEW, NUMBER), (POLICY,), {"defaults": {"grace": "1h"}})
JOBS = Imported((ImportedJob("new", {"every": "2h"}, Source("tab", 3)),))

FILES = {
    "empty": "",
    "a comment": "# nothing yet\n",
    "a comment without a line break": "# nothing yet",
    "an empty mapping": "{}",
    "an empty document": "---\n",
    "no jobs key": "defaults:\n  severity: info\n# end\n",
    "jobs without a value": "jobs:",
    "jobs without a value, then comments": "jobs:\n  # here\n\n# end",
    "empty jobs": "jobs: {}\n",
    "empty jobs with a comment": "jobs: {} # none\nlabels: [] # none\n",
    "null": "jobs: ~\npolicies: null\nlabels: null\n",
    "comments at the end": "jobs:\n  a:\n    every: 1h # x\n  # b:\n\n# end\n# end",
    "a section after the jobs": "jobs:\n  a: {every: 1h}\n\n# L\nlabels: [team]\n",
    "lists without indentation": "jobs:\n    a:\n      every: 1h\nlabels:\n- b\n",
    "flow style": "jobs: {a: {every: 1h}}\nlabels: [b, c]\n",
    "flow style on several lines": "jobs: {\n  a: {every: 1h},\n}\nlabels: [b,]\n",
    "empty flow with a comment": "jobs: {\n # none\n}",
    "JSON": '{"jobs": {"a": {"every": "1h"}}, "labels": []}\n',
    "JSON without jobs": '{"defaults": {"severity": "info"}}',
    "anchors": "jobs:\n  a: &a\n    every: 1h\n  b: *a\n  c:\n    <<: *a\n",
    "an anchor of the section": "jobs: &jobs\n  a: {every: 1h}\n",
    "a document with an end": "---\njobs:\n  a:\n    every: 1h\n  # c\n...\n# e\n",
    "a literal block": "jobs:\n  a:\n    description: |\n      é\n       x\n\n# c\n",
    "a literal block that keeps": "jobs:\n  a:\n    description: |+\n      x\n\n\n",
    "a folded block": "jobs:\n  a:\n    description: >-\n      x\n      y\n# c\n",
    "a text on two lines": "jobs:\n  a:\n    description: b\n      c\n",
    "an indented file": "  jobs:\n    a:\n  defaults: {severity: info}\n",
    "policies": "policies:\n  - {match: {name: x}, severity: info}\njobs: {a: }\n",
    "quoted keys": "'jobs':\n  \"a b\": {}\n".replace("a b", "ab"),
    "wide characters": "# 🎉 é\njobs:\n  a:\n    description: 🎉 ﬁ # 🎉\n",
    "everything but defaults": "defaults: {}\n",
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("imported", [EVERYTHING, JOBS], ids=["everything", "jobs"])
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_everything_is_added_and_nothing_else_changes(
    text: str, imported: Imported, newline: str
) -> None:
    text = text.replace("\n", newline)
    merged = merge(text, imported).text

    check(text, merged, imported)
    parse(merged)
    assert merge(merged, imported).text == merged
    assert merge(merged, imported).additions == ()
    if newline == "\r\n" and "\n" in text:
        assert not re.search(r"(?<!\r)\n", merged)


def check(text: str, merged: str, imported: Imported) -> None:
    before: Any = document.read(text).data or {}
    after: Any = document.read(merged).data
    names = {job.name for job in imported.jobs}
    jobs = before.get("jobs") or {}
    assert after["jobs"].keys() == jobs.keys() | names
    assert {name: after["jobs"][name] for name in jobs} == jobs
    for key in before.keys() - {"jobs", "labels", "policies", "defaults"}:
        assert after[key] == before[key]
    for key in ("labels", "policies"):
        count = len(before.get(key) or ())
        assert (after.get(key) or [])[:count] == (before.get(key) or [])
    check_lines(text, merged)


def check_lines(text: str, merged: str) -> None:
    """Each line is in *merged*, in order; only one in flow style may change.

    It gets more items, or becomes a block if it was empty.
    """
    may_change = re.compile(r"[\[{~]|null|:\s*$")
    lines = iter(merged.splitlines())
    for line in text.splitlines():
        assert may_change.search(line) or line in lines, (line, merged)
    kept = re.sub(r"\{\}|\[\]|~|null|\s", "", text)
    rest = iter(merged)
    assert all(one in rest for one in kept)


def test_an_example_looks_as_if_written_by_hand() -> None:
    text = """\
labels: [team]

jobs:
  backup:
    schedule: "0 2 * * *"   # at night

# Routes.
alertmanager: {}
"""
    assert merge(text, Imported((NEW,))).text == (
        """\
labels: [team, env]

jobs:
  backup:
    schedule: "0 2 * * *"   # at night

  # from tab, line 3
  new:
    schedule: "*/5 * * * *"
    labels: {env: x}

# Routes.
alertmanager: {}
"""
    )


def test_a_job_that_exists_is_left_and_its_differences_are_reported() -> None:
    text = "defaults:\n  timezone: UTC\njobs:\n  new:\n    every: 1h\n    grace: 5m\n"
    settings = {"every": "2h", "timezone": "UTC", "description": "x"}

    merged = merge(
        text, Imported((ImportedJob("new", settings, Source("tab", 3)),)), "a.yml"
    )

    assert merged.text == text
    assert [str(one) for one in merged.conflicts] == [
        (
            "tab:3: new: is left as in a.yml:4: every is 1h there, 2h here; "
            "description is not set there, x here"
        )
    ]


def test_another_section_with_another_value_is_left_and_reported() -> None:
    imported = Imported(sections={"defaults": {"grace": "1h", "severity": "info"}})

    merged = merge("# c\ndefaults:\n  grace: 5m\n", imported, "a.yml")

    assert merged.text == "# c\ndefaults:\n  grace: 5m\n  severity: info\n"
    assert [str(one) for one in merged.conflicts] == [
        "a.yml:3: defaults.grace: is left as it is; the imported value is 1h"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "base: &b\n  a: {}\njobs: *b\n",
        "jobs:\n  a:\n    description: |\n      no line break at the end",
        "- a\n",
        "jobs: [",
        "jobs: {a: {}}\njobs: {}\n",
        "a: 1\n---\nb: 2\n",
    ],
)
def test_a_file_that_cannot_be_extended_safely_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        merge(text, JOBS)


# Files in many styles, put together from pieces.
comments = st.sampled_from(["", "", "# c\n", "\n", "  # c\n", "\n\n# é\n", "   \n"])
ends = st.sampled_from(["\n", "\n", " # c\n", "\n\n", "   \n"])
leaves = st.sampled_from(
    ["every: 1h", "description: a b", "description: 'x # y'", 'description: "é"']
)
blocks = st.sampled_from(
    [
        "description: |\n      x\n\n      y",
        "description: >+\n      x\n",
        "tags:\n    - x",
    ]
)


@st.composite
def job_text(draw: st.DrawFn, name: str) -> str:
    style = draw(st.integers(0, 4))
    if style == 0:
        return f"  {name}:{draw(ends)}"
    if style == 1:
        return f"  {name}: {{every: 1h}}{draw(ends)}"
    if style == 2:
        return f"  {name}: &{name}\n    {draw(leaves)}{draw(ends)}"
    if style == 3:
        return f"  {name}:\n    {draw(blocks)}\n"
    return f"  {name}:\n{draw(comments)}    {draw(leaves)}{draw(ends)}"


@st.composite
def file_text(draw: st.DrawFn) -> str:
    jobs = "".join(
        draw(comments) + draw(job_text(name))
        for name in draw(st.lists(st.sampled_from("abcd"), unique=True))
    )
    sections = [f"jobs:{draw(ends)}{jobs}"]
    if draw(st.booleans()):
        labels = ["labels: [team]", "labels:\n- team", "labels:\n  - team", "labels:"]
        sections.append(draw(st.sampled_from(labels)) + draw(ends))
    if draw(st.booleans()):
        sections.append("defaults:\n  severity: info" + draw(ends))
    order = draw(st.permutations(sections))
    text = "".join(draw(comments) + section for section in order) + draw(comments)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(file_text(), st.sampled_from([EVERYTHING, JOBS]))
def test_every_line_stays_in_order_and_unchanged(text: str, imported: Imported) -> None:
    try:
        before = document.read(text)
    except document.NotYAMLError:
        return
    if before.problems:
        return
    try:
        merged = merge(text, imported)
    except ConfigError:
        # A block at the end of the file, whose value a line break would change.
        assert not text.endswith("\n")
        assert "description: |" in text or "description: >" in text
        return
    check(text, merged.text, imported)
    assert merge(merged.text, imported).text == merged.text


def test_many_jobs_that_differ_are_compared_in_one_pass() -> None:
    """Their lines are searched for together: one by one, it would take minutes."""
    names = [f"job-{number}" for number in range(3000)]
    text = "jobs:\n" + "".join(f"  {name}:\n    every: 1h\n" for name in names)
    jobs = (ImportedJob(name, {"every": "2h"}, Source("tab", 1)) for name in names)

    merged = merge(text, Imported(tuple(jobs)), "a.yml")

    assert merged.text == text
    assert len(merged.conflicts) == len(names)
    assert str(merged.conflicts[-1]).startswith(
        "tab:1: job-2999: is left as in a.yml:6000: every is 1h there"
    )
