"""The text of a new afterrun.yml."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config import document
from afterrun_exporter.config.loading import parse
from afterrun_exporter.errors import ConfigError
from afterrun_exporter.importers import yaml_text
from afterrun_exporter.importers.model import (
    Imported,
    ImportedJob,
    ImportedPolicy,
    Source,
)
from afterrun_exporter.importers.writing import render, validated

WORDS = r"""404 yes 1e3 1.5e3 @daily */5 ~ null -1 0x1F 0o17 .inf 12:30 2026-11-22 *x &x !x
%x `x` {x} [x] a:b a: :a #a a#b - -a ? ?a | > ' " '' \ = n y on off NO .5 1_000
+1 a, 1h 7d 90s 1KiB 5% 1h30m 12e03 a/b.c"""

LINE = Source("cron.d/backup", 3)


def test_jobs_are_written_with_the_place_that_they_are_from() -> None:
    backup = ImportedJob(
        "backup",
        {
            "description": "Dump: all of it # really",
            "schedule": "*/5 * * * *",
            "grace": "1h30m",
            "labels": {"team": "data"},
            "rules": ["rows > 0", {"expr": 'message == "done"', "severity": "info"}],
        },
        LINE,
        ("machine's time zone",),
    )
    policy = ImportedPolicy({"match": {"tags": ["x"]}, "severity": "info"}, LINE)
    sections = {"defaults": {"timezone": "Europe/Riga"}}

    text = render(
        Imported((backup, ImportedJob("404", {}, Source("x"))), (policy,), sections)
    )

    assert text == (
        """\
labels: [team]

defaults: {timezone: Europe/Riga}

policies:
  # from cron.d/backup, line 3
  - {match: {tags: [x]}, severity: info}

jobs:
  # from cron.d/backup, line 3
  # machine's time zone
  backup:
    description: "Dump: all of it # really"
    schedule: "*/5 * * * *"
    grace: 1h30m
    labels: {team: data}
    rules:
      - rows > 0
      - {expr: 'message == "done"', severity: info}

  # from x
  "404": {}
"""
    )
    parse(text)


def test_nothing_is_still_a_valid_file() -> None:
    assert render(Imported()) == "jobs: {}\n"
    parse(render(Imported()))


@pytest.mark.parametrize(
    "text",
    WORDS.split(),
)
def test_a_word_stays_text_for_every_yaml_reader(text: str) -> None:
    import yaml  # noqa: PLC0415 - as an oracle

    line = f"{yaml_text.scalar(text)}: {yaml_text.inline([text])}"

    assert document.read(line).data == {text: [text]}
    assert yaml.safe_load(line) == {text: [text]}


texts = st.text() | st.sampled_from(
    ["a: b", "a #b", "line\n two\n", "\n", " x", "é\nß"]
)
values: st.SearchStrategy[Any] = st.recursive(
    texts | st.integers(-(10**17), 10**17) | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
    max_leaves=8,
)


@given(st.text(min_size=1), values)
def test_every_value_is_read_as_it_was_written(key: str, value: Any) -> None:
    if "<<" in repr({key: value}):
        return  # which merges
    text = "\n".join(yaml_text.entry(key, value, 2)) + "\n"

    assert document.read(text).data == {key: value}


@given(st.text())
def test_a_comment_is_one_line(text: str) -> None:
    line = yaml_text.comment(text, 2)

    assert len(line.splitlines()) == 1
    assert document.read(f"a: 1\n{line}\nb: 2").data == {"a": 1, "b": 2}


def test_a_job_that_is_no_valid_configuration_is_reported_and_left_out() -> None:
    bad = ImportedJob("bad", {"schedule": "61 * * * *", "every": "1h"}, Source("f", 2))
    good = ImportedJob("good", {"every": "1h"}, Source("f", 3))
    needs = ImportedJob("needs", {"depends_on": [{"job": "bad"}]}, Source("f", 4))
    policy = ImportedPolicy({"match": {"name": "("}, "severity": "x"}, Source("f", 1))

    result = validated(Imported((bad, good, needs), (policy,)))

    assert result.jobs == (good,)
    assert result.policies == ()
    assert [str(one).partition(": not imported: ")[0] for one in result.unmapped] == [
        "f:1: policy",
        "f:2: bad",
        "f:2: bad",
        "f:4: needs",
    ]
    parse(render(result))


def test_another_section_that_is_invalid_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        validated(Imported(sections={"defaults": {"grcae": "1h"}}))
