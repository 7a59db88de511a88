"""What a good file becomes, and that a bad one is never more than a ConfigError."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from afterrun_exporter.config import (
    default,
    load,
    loading,
    parse,
    warnings,
)
from afterrun_exporter.config.base import Spec
from afterrun_exporter.config.conditions import (
    AlertSeveritiesSpec,
    AlertsSpec,
    ConcurrencySpec,
    DependencySpec,
    SlowerThanSpec,
    SuccessRatioSpec,
)
from afterrun_exporter.config.document import read
from afterrun_exporter.config.policies import MatchSpec
from afterrun_exporter.config.schema import (
    DefaultsSpec,
    FileSpec,
    JobSpec,
    LimitsSpec,
    RetentionSpec,
    RuleSpec,
)
from afterrun_exporter.core.job_config import JobConfig
from afterrun_exporter.core.model import (
    Average,
    Concurrency,
    Condition,
    Dependency,
    Job,
    Settings,
    SlowerThan,
    SuccessRatio,
)
from afterrun_exporter.core.outcome_metrics import PushSettings
from afterrun_exporter.core.projects import Project
from afterrun_exporter.core.rules import parse_rule
from afterrun_exporter.core.schedule import (
    Calendar,
    Every,
    parse_cron,
    parse_oncalendar,
)
from afterrun_exporter.core.secrets import digest
from afterrun_exporter.errors import ConfigError, Problem
from tests.copies import replace

GOOD = Path(__file__).parents[1] / "configs" / "good"


def _job(text: str, name: str = "backup") -> Job:
    return parse(text).jobs[name]


def test_every_key_reaches_its_job() -> None:
    """Nothing of what people write is dropped on the way."""
    config = load(GOOD / "all_keys.yml")

    assert config.jobs["nightly-backup"] == Job(
        name="nightly-backup",
        description="Dump the database.\nCopy it to S3.\n",
        schedule=parse_cron(
            ["0 2 * * *", "30 14 * * SUN#1,FRI#L"],
            "America/New_York",
            (
                *("2026-12-24", "2026-12-24..2027-01-02", "12-25", "12-31..01-01"),
                *("sunday", "holidays DE-BY", "holidays US"),
            ),
        ),
        grace=1800.0,
        early=0.0,
        max_runtime=5400.0,
        max_attempts=3,
        heartbeat=300.0,
        after_downtime=2700.0,
        severity="critical",
        # A condition's own key wins.
        severities=(
            (Condition.MISSED, "page"),
            (Condition.FAILING, "critical"),
            (Condition.VIOLATED, "error"),
            (Condition.OVERRUNNING, "medium"),
            (Condition.SLOW, "low"),
            (Condition.OVERLAPPING, "major"),
            (Condition.SUCCESS_RATIO_LOW, "high"),
        ),
        labels=(("team", "data"), ("tier", "gold")),
        project="infrastructure",
        tags=("backup", "database"),
        runbook_url="https://wiki.example/backup",
        enabled=False,
        rules=(
            parse_rule("rows_processed > 0"),
            parse_rule("file_size_bytes > 1KiB"),
            parse_rule("duration < 10m"),
            replace(
                parse_rule("rows_processed >= 0.5 * previous"),
                name="rows-halved",
                severity="page",
                ignore_missing=True,
            ),
        ),
        after_failures=3,
        recover_after=2,
        success_ratio=SuccessRatio(below=0.8, over=3 * 86400.0, min_runs=4),
        slower_than=SlowerThan(
            factor=2.5, than=Average.MEAN, over=7 * 86400.0, min_runs=2
        ),
        depends_on=(Dependency("sync", requires_success=False), Dependency("report")),
        concurrency=Concurrency(max=2, by="tenant_id"),
        dedicated=True,
        ping_uuid="0b6c8a52-5d5e-4a0c-8a4e-0f6f1d1c2b3a",
        display_name="Nightly Backup ☾",
        exposes_pushes=True,
        push=PushSettings(
            success_metric=("etl_done", "*_last_success*"),
            duration_metric=("etl_*_seconds",),
            ignore=("*_up",),
            progress=True,
        ),
    )


def test_every_key_reaches_the_catalogue() -> None:
    """What holds for all jobs is taken over as it was written."""
    job_config = load(GOOD / "all_keys.yml").job_config

    assert job_config == JobConfig(
        jobs=job_config.jobs,
        unknown=None,
        projects=(
            Project(
                name="infrastructure",
                ping_key=digest("fqOOd6-52sMxvG_KUkQqcQ"),
                api_key="sha256:9f86d081884c7d659a2feaa0c55ad015"
                "a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
        ),
        max_jobs=500,
        settings=Settings(
            dedup_window=20.0, min_visible=120.0, metrics_per_job=20, runs_per_job=50
        ),
        settle=300.0,
        keep_for=14 * 86400.0,
        keep_runs=50,
        keep_reports=26 * 7 * 86400.0,
        body_bytes=64 * 1024,
        pushed_bytes=2**20,
        disabled_families=frozenset({"afterrun_job_paused", "afterrun_job_metric"}),
    )


@pytest.mark.parametrize(
    ("spec", "section"),
    [
        (FileSpec, ()),
        (LimitsSpec, ("limits",)),
        (RetentionSpec, ("retention",)),
        (DefaultsSpec, ("defaults",)),
        (JobSpec, ("jobs", "nightly-backup")),
        (AlertsSpec, ("jobs", "nightly-backup", "alerts")),
        (SuccessRatioSpec, ("jobs", "nightly-backup", "alerts", "success_ratio")),
        (SlowerThanSpec, ("jobs", "nightly-backup", "alerts", "slower_than")),
        (AlertSeveritiesSpec, ("jobs", "nightly-backup", "alerts", "severity")),
        (ConcurrencySpec, ("jobs", "nightly-backup", "concurrency")),
        (DependencySpec, ("jobs", "nightly-backup", "depends_on", 0)),
        (MatchSpec, ("policies", 0, "match")),
    ],
)
def test_the_file_with_every_key_has_every_key(
    spec: type[Spec], section: tuple[str | int, ...]
) -> None:
    """A key that is added to a spec is added to that file, and so to its tests."""
    data = read((GOOD / "all_keys.yml").read_text(encoding="utf-8")).data
    for key in section:
        assert isinstance(data, dict | list)
        data = data[key]  # type: ignore[index]

    assert isinstance(data, dict)
    # A job has one of the three.
    others = {"oncalendar", "every"}
    assert {*data} | others == {*spec.model_fields} | others


@pytest.mark.parametrize(
    ("defaults", "policy", "job", "expected"),
    [
        ("", "", "", None),
        ("", "", "on_downtime: wait", None),
        ("", "", "on_downtime: alert", 0.0),
        ("", "", "after_downtime: 1h", 3600.0),
        ("", "", "on_downtime: alert, after_downtime: 1h", 3600.0),
        ("on_downtime: alert", "", "", 0.0),
        ("after_downtime: 1h", "", "on_downtime: wait", None),
        ("after_downtime: 1h", "", "on_downtime: alert", 0.0),
        ("after_downtime: 1h", "on_downtime: wait", "", None),
        ("on_downtime: alert", "after_downtime: 2h", "", 7200.0),
        ("", "after_downtime: 2h", "on_downtime: wait", None),
        ("", "on_downtime: wait", "after_downtime: 1h", 3600.0),
    ],
)
def test_the_nearest_word_on_downtimes_counts(
    defaults: str, policy: str, job: str, expected: float | None
) -> None:
    """A layer that has one of the two keys replaces both of those further away."""
    policies = f"policies: [{{match: {{name: x}}, {policy}}}]" if policy else ""
    text = f"defaults: {{{defaults}}}\njobs: {{x: {{{job}}}}}\n{policies}"

    assert _job(text, "x").after_downtime == expected


def test_a_job_that_says_nothing_has_the_defaults() -> None:
    """A name alone is a job."""
    assert _job("jobs: {backup: }") == Job(name="backup")


def test_a_job_takes_what_it_leaves_out_from_the_defaults_section() -> None:
    """Its own word wins, and the zone reaches cron schedules."""
    config = load(GOOD / "all_keys.yml")

    report, sync = config.jobs["report"], config.jobs["sync"]
    assert isinstance(report.schedule, Calendar)
    assert (report.schedule.zone, report.schedule.exclude) == (
        "Europe/Riga",
        ("12-25",),
    )
    assert (report.grace, report.early) == (900.0, 30.0)
    assert (report.severity, report.max_runtime) == ("info", 7200.0)
    assert report.max_attempts == 2
    assert report.heartbeat == 1200.0
    assert report.after_downtime == 7200.0
    assert config.jobs["manual"].after_downtime is None
    assert sync.schedule == Every(5400.0)
    assert config.jobs["manual"].schedule is None


def test_no_file_is_what_the_core_does_on_its_own() -> None:
    """The defaults of the file and those of the core are the same."""
    config = default()

    assert replace(config.job_config, unknown=None) == JobConfig(unknown=None)
    assert config.job_config.unknown is not None
    assert config.job_config.unknown("x", "") == Job(name="x", configured=False)
    assert config.label_keys == ()


@pytest.mark.parametrize("text", ["{}", "jobs:\n", "jobs: {}"])
def test_a_file_without_jobs_is_no_file(text: str) -> None:
    """An operator may start from nothing."""
    assert parse(text).jobs == {}
    assert replace(parse(text).job_config, unknown=None) == JobConfig(unknown=None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "\n\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    """What a failed redirection leaves would retire every job."""
    with pytest.raises(ConfigError) as caught:
        parse(text)

    assert str(caught.value) == (
        "afterrun.yml:1: is empty; write 'jobs: {}' for a configuration without jobs"
    )


def test_an_unknown_job_has_the_defaults_and_every_label_key() -> None:
    """A series without a declared key would be another series."""
    text = "labels: [team, tier]\ndefaults: {grace: 7m, severity: info, early: 2s}"
    unknown = parse(text).job_config.unknown

    assert unknown is not None
    assert unknown("adhoc", "") == Job(
        name="adhoc",
        grace=420.0,
        early=2.0,
        severity="info",
        labels=(("team", ""), ("tier", "")),
        configured=False,
    )


def test_labels_come_in_the_order_of_their_declaration() -> None:
    """However the job orders them, and whether it sets them or not."""
    text = "labels: [z, a, m]\njobs: {backup: {labels: {m: three, z: one}}}"

    assert parse(text).label_keys == ("z", "a", "m")
    assert _job(text).labels == (("z", "one"), ("a", ""), ("m", "three"))


def test_jobs_keep_the_order_of_the_file() -> None:
    """`afterrun check` lists them as their owner knows them."""
    assert list(parse("jobs: {c: , a: , b: }").jobs) == ["c", "a", "b"]


def test_words_that_yaml_1_1_would_take_for_something_else_are_text() -> None:
    """`country: no` is Norway."""
    jobs = load(GOOD / "yaml_1_2.yml").jobs

    assert jobs["on"].project == "yes"
    assert jobs["2026"].tags == (
        *("on", "off", "22:30", "2026-11-22"),
        *("010", "1_000", "0x1F"),
    )
    assert [value for _, value in jobs["22:30"].labels] == [
        *("42", "no", "2026-11-22", "1.2.3")
    ]


def test_a_merged_mapping_gives_what_the_job_does_not_say() -> None:
    """The first of several wins, as YAML has it."""
    jobs = load(GOOD / "anchors.yml").jobs

    assert jobs["second-backup"] == replace(
        jobs["backup"], name="second-backup", grace=7200.0
    )
    assert jobs["third-backup"] == replace(
        jobs["backup"], name="third-backup", severity="info"
    )
    assert jobs["sync"].rules == jobs["backup"].rules


@pytest.mark.parametrize(
    "text",
    [
        "jobs: {b: {}, a: {every: 1h}}",
        "# a comment\njobs:\n  a: {every: 1h}\n  b: {}",
        "jobs: {a: {every: 1h}, b: {}}\nretention: {runs: 7d}\nlabels:",
    ],
)
def test_files_that_say_the_same_of_jobs_and_alerts_have_one_hash(text: str) -> None:
    """Nothing that is generated from them differs."""
    assert parse(text).hash == parse("jobs: {a: {every: 1h}, b: {}}").hash


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "jobs: {a: {every: 2h}, b: {}}",
        "jobs: {a: {every: 1h}, b: {}, c: {}}",
        "jobs: {a: {every: 1h}, b: {}}\nlabels: [team]",
        "jobs: {a: {every: 1h}, b: {}}\ndefaults: {severity: critical}",
        "{jobs: {a: {every: 1h}, b: {}}, policies: [{match: {name: a}, grace: 1h}]}",
    ],
)
def test_files_that_say_something_else_have_another_hash(text: str) -> None:
    """What was generated from one of them is out of date for the other."""
    hash_ = parse(text).hash

    assert hash_ != parse("jobs: {a: {every: 1h}, b: {}}").hash
    assert len(hash_) == 12


def test_a_hash_is_computed_job_by_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call for 100,000 jobs would keep reports waiting for a quarter of a second."""
    text = "labels: [team]\njobs:\n" + "".join(
        f"  job-{n}: {{every: 1h, description: ä, rules: [a > {n}], labels: {{}}}}\n"
        for n in range(200, 0, -1)
    )
    data = read(text).data
    assert isinstance(data, dict)
    whole = json.dumps(data, sort_keys=True, ensure_ascii=False)
    pieces: list[str] = []

    def dumps(part: object, **options: bool) -> str:
        pieces.append(json.dumps(part, **options))  # type: ignore[arg-type]
        return pieces[-1]

    monkeypatch.setattr(loading, "json", SimpleNamespace(dumps=dumps))

    assert parse(text).hash == sha256(whole.encode()).hexdigest()[:12]
    assert max(map(len, pieces)) < 100


def test_no_file_has_no_hash() -> None:
    """A daemon without a file goes by the generic alerting rules alone."""
    assert default().hash == ""


def test_a_rule_has_its_text_for_a_name_and_the_severity_of_its_job() -> None:
    """A rule says only what is special about it."""
    (rule,) = _job("jobs: {backup: {rules: ['rows   >  0']}}").rules

    assert (rule.name, rule.severity, rule.ignore_missing) == ("rows > 0", None, False)


def test_a_mapping_with_only_an_expr_is_the_plain_rule() -> None:
    """Both ways to write a rule come to one."""
    plain = _job("jobs: {backup: {rules: [rows > 0]}}")

    assert _job("jobs: {backup: {rules: [{expr: rows > 0}]}}") == plain
    assert set(RuleSpec.model_fields) == {"expr", "name", "severity", "on_missing"}


def test_jobs_with_one_expression_share_one_schedule() -> None:
    """100,000 jobs do not cost 100,000 calendars."""
    jobs = parse("jobs: {a: {schedule: '@daily'}, b: {schedule: '@daily'}}").jobs

    assert jobs["a"].schedule is jobs["b"].schedule


def test_a_schedule_by_systemd_reaches_its_job() -> None:
    """In the zone of the job, without the days of the defaults."""
    config = load(GOOD / "all_keys.yml")

    assert config.jobs["report"].schedule == parse_oncalendar(
        ["Sat *-*~07/1 03:00 Europe/Berlin", "quarterly"], "Europe/Riga", ("12-25",)
    )


@pytest.mark.parametrize(
    ("defaults", "policy", "job", "expected"),
    [
        ("", "", "", ()),
        ("12-25", "", "", ("12-25",)),
        ("12-25", "", "exclude: []", ()),
        ("12-25", "", "exclude: [Friday, friday]", ("friday",)),
        ("12-25", "{holidays: DE}", "", ("holidays DE",)),
        ("12-25", "{holidays: DE}", "exclude: sunday", ("sunday",)),
        ("12-25", "sunday", "exclude: []", ()),
    ],
)
def test_the_nearest_layer_excludes_days(
    defaults: str, policy: str, job: str, expected: tuple[str, ...]
) -> None:
    """They do not add up, so that a job can run on any day."""
    text = f"""
        defaults: {{exclude: {defaults or "[]"}}}
        policies: [{{match: {{name: backup}}, {f"exclude: {policy}" if policy else ""}}}]
        jobs: {{backup: {{oncalendar: daily, {job}}}}}
    """

    assert _job(text).schedule == parse_oncalendar("daily", "UTC", expected)


def test_days_excluded_by_default_leave_a_period_alone() -> None:
    """Its slots count from the last run."""
    text = "{defaults: {exclude: sunday}, jobs: {backup: {every: 1d}}}"

    assert _job(text).schedule == Every(86400)


def test_a_policy_replaces_another_kind_of_schedule() -> None:
    policies = (
        'policies: [{match: {name: "^b"}, oncalendar: hourly, timezone: Asia/Tokyo}]'
    )
    jobs = "jobs: {backup: {}, batch: {every: 1h}, beat: {schedule: '@daily'}}"
    config = parse(f"{policies}\n{jobs}")

    assert [job.schedule for job in config.jobs.values()] == [
        parse_oncalendar("hourly", "Asia/Tokyo"),
        Every(3600),
        parse_cron("@daily", "Asia/Tokyo"),
    ]


def test_a_schedule_that_never_comes_is_a_warning() -> None:
    """It may be a joke; the file works."""
    text = (GOOD / "never_comes.yml").read_text(encoding="utf-8")

    (warning,) = warnings(text, parse(text), 0.0)

    assert str(warning) == ("3: jobs.leap.schedule: '0 0 30 2 *' matches no future day")


keys = st.sampled_from(
    [
        *FileSpec.model_fields,
        *LimitsSpec.model_fields,
        *RetentionSpec.model_fields,
        *DefaultsSpec.model_fields,
        *JobSpec.model_fields,
        *AlertsSpec.model_fields,
        *RuleSpec.model_fields,
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["5m", "1KiB", "0 2 * * *", "@daily", "rows > 0", "UTC", "info", "team"]
    )
)
names = keys | st.text(max_size=4)
data = (
    scalars
    | st.lists(scalars | st.dictionaries(names, scalars, max_size=3), max_size=3)
    | st.dictionaries(names, scalars, max_size=3)
)
sections = st.dictionaries(names, data, max_size=4)
files = st.dictionaries(
    names, data | sections | st.dictionaries(names, sections, max_size=3), max_size=5
)


def _problems(text: str) -> tuple[Problem, ...]:
    try:
        parse(text)
    except ConfigError as error:
        return error.problems
    return ()


def _parses_or_says_why(text: str) -> None:
    last = text.count("\n") + text.count("\r") + 2
    assert all(1 <= problem.line <= last for problem in _problems(text))


@given(st.text())
@example("\ud800")
@example("jobs: {a: {project: '\ud800'}}")
@example("jobs: \x00")
@example("a: &a [*a]")
@example("a: &a {<<: *a}")
@example("<<: {jobs: }")
@example("? [a]\n: b")
@example("- " * 2000)
@example("[" * 5000)
@example("{" * 5000)
@example("%YAML 9.9\n---\n")
@example("limits: {jobs: " + "9" * 5000 + "}")
@example("settle: " + "9" * 5000 + "s")
@example("limits: {body_bytes: 1e400MiB}")
@example("jobs: {a: {schedule: '" + "9" * 5000 + " * * * *'}}")
@example("jobs: {a: {rules: ['rows > " + "9" * 5000 + "']}}")
@example("jobs: {a: {timezone: '../../etc/passwd', schedule: '@daily'}}")
@example("jobs: {a: {timezone: '\\0', schedule: '@daily'}}")
def test_arbitrary_text_is_a_config_or_a_config_error(text: str) -> None:
    """No file makes the daemon fall over."""
    _parses_or_says_why(text)


@given(st.text(alphabet="{}[]:,-?&*!|>'\"%@# \n\tajobs<"))
def test_arbitrary_yaml_is_a_config_or_a_config_error(text: str) -> None:
    """Nor does one that is full of YAML's own characters."""
    _parses_or_says_why(text)


@given(files)
def test_arbitrary_data_is_a_config_or_a_config_error(written: object) -> None:
    """Nor does one that has the right keys with wrong things in them."""
    _parses_or_says_why(json.dumps(written, indent=1))


def test_a_bomb_of_aliases_is_defused() -> None:
    """A few lines cannot stand for more than a file of their size may say."""
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]

    with pytest.raises(ConfigError, match="aliases expand to too many values"):
        parse("\n".join(["l0: &l0 [x, x, x, x, x, x, x, x, x, x]", *levels]))


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_a_quoted_text_comes_through_unchanged(text: str) -> None:
    """Strings are never coerced, whatever they look like."""
    quoted = json.dumps(text, ensure_ascii=False)

    assert _job(f"jobs: {{backup: {{project: {quoted}}}}}").project == text
