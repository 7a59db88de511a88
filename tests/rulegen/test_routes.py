"""Each alert reaches the receivers that the configuration names for it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter import conventions as names
from afterrun_exporter.config import Config, parse
from afterrun_exporter.config.loading import warnings
from afterrun_exporter.core.model import Condition, Job
from afterrun_exporter.core.routing import Alertmanager, JobReceiver, ReceiverType
from afterrun_exporter.rulegen import alertmanager, render, route_tests, routes
from afterrun_exporter.rulegen.route_tests import Alert

from .amtools import RECEIVERS, data, files, incompatible, rich
from .conftest import Run

TESTS = alertmanager.DIRECTORY / "routes.test"


def cases(directory: Path) -> list[list[str]]:
    """Return the arguments of each generated test."""
    lines = (directory / TESTS).read_text().splitlines()
    return [shlex.split(line) for line in lines if not line.startswith("#")]


def failures(run: Run, directory: Path, tests: Iterable[Sequence[str]]) -> list[str]:
    """Return what amtool objects to."""
    config = f"--config.file={directory / alertmanager.CONFIG}"
    return [
        f"{shlex.join(case)}: {result.stdout}{result.stderr}"
        for case in tests
        if (
            result := run("amtool", "config", "routes", "test", config, *case)
        ).returncode
        or incompatible(result)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("receivers", [(), RECEIVERS], ids=["", "with receivers"])
def test_each_job_reaches_whom_its_configuration_names(
    run: Run, root: Path, tmp_path: Path, receivers: tuple[JobReceiver, ...]
) -> None:
    """As amtool reads the tree, and as the configuration says it, route by route."""
    config = rich(root)
    render.write(files(config, receivers), tmp_path)

    tests = cases(tmp_path)

    assert {word for case in tests for word in case} >= {
        f"job_name={job}" for job in config.jobs
    }
    assert failures(run, tmp_path, tests) == []


@pytest.mark.parametrize("count", [100, 2_000])
def test_many_jobs_of_a_kind_need_no_more_tests_than_two(count: int) -> None:
    """Each test is a process: one for each of 100,000 jobs would take 41 minutes."""
    text = """\
labels: [team]
alertmanager:
  receivers: {data: [{email: data@example.com}], etl: [{email: etl@example.com}]}
  routes:
    - {match: {labels: {team: data}}, receivers: data}
    - {match: {job: ^etl-}, receivers: etl}
jobs:
"""
    lines = (
        f"  {kind}-{n}: {{labels: {{team: {team}}}}}\n"
        for n in range(count)
        for kind in ("etl", "report")
        for team in ("data", "web")
        if (n % 2 == 0) == (team == "data")
    )
    config = parse(text + "".join(lines))

    tests = route_tests.text(config.jobs, config.alertmanager, (), "alertmanager.yml")

    tested = [
        line.split("job_name=")[1].split()[0]
        for line in tests.splitlines()
        if "job_name=" in line
    ]
    assert sorted(tested) == sorted(
        f"{kind}-{n}" for kind in ("etl", "report") for n in range(4)
    )


def test_a_wrong_receiver_is_found(run: Run, root: Path, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    render.write(files(rich(root)), tmp_path)
    first, *others = cases(tmp_path)[2][0].split(",")
    wrong = [",".join([first, *others[1:]]), *cases(tmp_path)[2][1:]]

    assert others
    assert len(failures(run, tmp_path, [wrong])) == 1


@pytest.mark.thorough
@pytest.mark.parametrize(("broken", "code"), [(False, 0), (True, 123)])
def test_the_header_says_how_to_run_them(
    root: Path, tmp_path: Path, broken: bool, code: int
) -> None:
    """One line for a shell; it fails when one of the tests does."""
    render.write(files(rich(root), RECEIVERS), tmp_path)
    text = (tmp_path / TESTS).read_text()
    command = next(line for line in text.splitlines() if "xargs" in line)
    if broken:
        (tmp_path / TESTS).write_text(text.replace("receivers=chat ", "receivers=x "))

    result = subprocess.run(
        ["sh", "-c", command.lstrip("# ")],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert result.returncode == code, result.stderr


ALL = "  receivers: {a: [&w {webhook: {url: 'http://a/'}}], b: [*w], c: [*w]}\n"
BACKUP = "jobs: {backup: {severity: critical, project: p, tags: [x, y]}}\n"


def told(routes: str, alert: Alert, receivers: Sequence[JobReceiver] = ()) -> list[str]:
    """Return who is told of *alert* when these are the routes."""
    config = parse(f"{BACKUP}alertmanager:\n{ALL}  routes: {routes}")
    return route_tests.recipients(alert, config.alertmanager, receivers)


JOB = parse(BACKUP).jobs["backup"]
MISSED = Alert(names.JOB_MISSED, "critical", JOB, Condition.MISSED)
DOWN = Alert(names.EXPORTER_DOWN, "critical")


@pytest.mark.parametrize(
    ("routes", "alert", "expected"),
    [
        ("[]", MISSED, ["a"]),
        ("[{match: {severity: critical}, receivers: b}]", MISSED, ["b"]),
        ("[{match: {severity: [info, critical]}, receivers: b}]", DOWN, ["b"]),
        ("[{match: {severity: info}, receivers: b}]", MISSED, ["a"]),
        ("[{match: {project: [q, p]}, receivers: [b, c]}]", MISSED, ["b", "c"]),
        ("[{match: {project: p}, receivers: b}]", DOWN, ["a"]),
        ("[{match: {tags: [x, y]}, receivers: b}]", MISSED, ["b"]),
        ("[{match: {tags: [x, z]}, receivers: b}]", MISSED, ["a"]),
        ("[{match: {job: ck}, receivers: b}]", MISSED, ["b"]),
        ("[{match: {job: ^ck}, receivers: b}]", MISSED, ["a"]),
        ("[{match: {job: .*}, receivers: b}]", DOWN, ["a"]),
        ("[{match: {alert: missed, tags: x}, receivers: b}]", MISSED, ["b"]),
        ("[{match: {alert: [failing]}, receivers: b}]", MISSED, ["a"]),
        (
            (
                "[{match: {job: a}, receivers: b, continue: true},"
                " {match: {job: a}, receivers: c}, {match: {job: a}, receivers: b}]"
            ),
            MISSED,
            ["b", "c"],
        ),
        ("[{match: {job: a}, receivers: b, continue: true}]", MISSED, ["b"]),
        ("[{match: {job: a}, receivers: discard}]", MISSED, ["discard"]),
    ],
)
def test_what_routes_mean(
    run: Run, tmp_path: Path, routes: str, alert: Alert, expected: list[str]
) -> None:
    """A list of tags is all of them, any other list one of it; first come, first told."""
    assert told(routes, alert) == expected
    config = parse(f"{BACKUP}alertmanager:\n{ALL}  routes: {routes}")
    render.write(files(config), tmp_path)
    case = route_tests.arguments(alert, config.alertmanager, [])
    assert failures(run, tmp_path, [case]) == []


RECEIVER = JobReceiver(
    id=1, job="backup", type=ReceiverType.WEBHOOK, target="http://x/"
)


@pytest.mark.parametrize("condition", Condition)
def test_a_receiver_of_a_job_takes_nothing_from_others(
    run: Run, tmp_path: Path, condition: Condition
) -> None:
    """Who is told of what no route takes is told all the same."""
    config = parse(f"{BACKUP}alertmanager:\n{ALL}")
    render.write(files(config, [RECEIVER]), tmp_path)
    if condition in {Condition.UPSTREAM_UNHEALTHY, Condition.SUCCEEDED}:
        alert = Alert(names.ALERT_OF[condition], "none", JOB, condition)
        expected = ["discard"]
    else:
        alert = Alert(names.ALERT_OF[condition], "critical", JOB, condition)
        asked = [] if condition is Condition.OVERLAPPING else [RECEIVER.name]
        expected = [*asked, "a"]

    case = route_tests.arguments(alert, config.alertmanager, [RECEIVER])

    assert case[0] == f"--verify.receivers={','.join(expected)}"
    assert failures(run, tmp_path, [case]) == []


FAILING = Alert(names.JOB_FAILING, "critical", JOB, Condition.FAILING)
TIMED_OUT = replace(FAILING, timed_out=True)
OVERRUNNING = Alert(names.JOB_OVERRUNNING, "critical", JOB, Condition.OVERRUNNING)
SLOW = Alert(names.JOB_SLOW, "critical", JOB, Condition.SLOW)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        # Failing, failing with a timeout, overrunning, slow.
        ({"on_timeout": True}, [False, True, True, False]),
        ({"on_failure": True}, [True, True, False, False]),
        ({"on_failure": True, "on_timeout": True}, [True, True, True, False]),
        ({"on_violation": True}, [False, False, False, True]),
        ({"on_missed": True}, [False, False, False, False]),
    ],
)
def test_a_receiver_is_told_of_what_its_switches_name(
    run: Run, tmp_path: Path, flags: dict[str, bool], expected: list[bool]
) -> None:
    off = dict.fromkeys(
        ("on_failure", "on_timeout", "on_violation", "on_missed"), False
    )
    switches: dict[str, Any] = {**off, **flags}
    receiver = replace(RECEIVER, **switches)
    config = parse(f"{BACKUP}alertmanager:\n{ALL}")
    render.write(files(config, [receiver]), tmp_path)
    alerts = (FAILING, TIMED_OUT, OVERRUNNING, SLOW)
    cases = [
        route_tests.arguments(alert, config.alertmanager, [receiver])
        for alert in alerts
    ]

    assert [receiver.name in case[0] for case in cases] == expected
    assert failures(run, tmp_path, cases) == []


def test_an_ok_run_is_told_to_those_who_want_it_alone(run: Run, tmp_path: Path) -> None:
    """And its end to nobody: a receiver of its own does not send what is resolved."""
    receiver, other = replace(RECEIVER, on_success=True), replace(RECEIVER, id=2)
    config = parse(f"{BACKUP}alertmanager:\n{ALL}")
    render.write(files(config, [receiver, other]), tmp_path)
    alert = Alert(names.JOB_SUCCEEDED, "none", JOB, Condition.SUCCEEDED)

    case = route_tests.arguments(alert, config.alertmanager, [receiver, other])

    assert case[0] == "--verify.receivers=afterrun-job-backup-1-success,discard"
    assert failures(run, tmp_path, [case]) == []
    resolved = {
        one["name"]: one["webhook_configs"][0]["send_resolved"]
        for one in data(config, [receiver, other])["receivers"]
        if one["name"].startswith("afterrun-job-")
    }
    assert resolved == {
        "afterrun-job-backup-1": True,
        "afterrun-job-backup-1-success": False,
        "afterrun-job-backup-2": True,
    }


def paths(node: routes.Node, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return where the routes stand: what Alertmanager knows groups of alerts by."""
    here = (*above, str(node.get("matchers")))
    return {here}.union(*(paths(one, here) for one in node.get("routes", ())))


def test_a_receiver_of_a_job_moves_nothing() -> None:
    """Or Alertmanager would tell everybody again of everything that is open."""
    match = "[{match: {severity: info}, receivers: [b, c]}]"
    config = parse(f"{BACKUP}alertmanager:\n{ALL}  watchdog: c\n  routes: {match}")

    none, one, two = (
        paths(routes.tree(config.jobs, ["team"], config.alertmanager, receivers))
        for receivers in ([], [RECEIVER], [RECEIVER, replace(RECEIVER, id=2)])
    )

    assert none < one <= two


def test_the_same_message_goes_out_for_jobs_apart() -> None:
    """Whoever asked for one job does not wait for what is grouped by team."""
    config = parse(f"{BACKUP}alertmanager:\n{ALL}  group_wait: 5m")

    tree = routes.tree(config.jobs, ["team"], config.alertmanager, [RECEIVER])

    assert tree["group_by"] == ["alertname", "team"]
    assert tree["group_wait"] == "5m"
    assert tree["routes"][0]["group_by"] == ["alertname", "job_name"]
    assert tree["routes"][0]["group_wait"] == "1s"


def test_the_watchdog_is_sent_on_again_and_again() -> None:
    """Its silence is the message, so it must not be quiet for hours."""
    config = parse(f"alertmanager:\n{ALL}  watchdog: c")

    (rest,) = routes.tree({}, [], config.alertmanager, [])["routes"]
    (route, *_) = rest["routes"]

    assert route == {
        "matchers": ['alertname = "AfterRunWatchdog"'],
        "receiver": "c",
        "group_wait": "0s",
        "group_interval": "1m",
        "repeat_interval": "5m",
    }


def test_a_match_without_a_job_matches_nothing_and_is_told() -> None:
    """It may be meant for a job to come, so it is no error."""
    text = (
        f"{BACKUP}alertmanager:\n{ALL}  routes: [{{match: {{tags: z}}, receivers: b}}]"
    )
    config = parse(text)

    tree = routes.tree(config.jobs, [], config.alertmanager, [])

    (rest,) = tree["routes"]
    assert [route["receiver"] for route in rest["routes"]] == ["discard"]
    assert [str(problem) for problem in warnings(text, config, 0)] == [
        (
            "4: alertmanager.routes[0].match: matches no job of this file, so this route "
            "is never used"
        )
    ]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0s"), (2.0, "2s"), (90.0, "1m30s"), (1.5, "1500ms"), (86400.0, "1d")],
)
def test_durations_are_written_without_fractions(seconds: float, expected: str) -> None:
    """Alertmanager has no 1.5s."""
    assert routes.duration(seconds) == expected


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        min_size=1,
        max_size=4,
    )
)
def test_a_matcher_is_the_same_whatever_the_order(values: list[str]) -> None:
    """Equal configurations give equal files."""
    assert routes.matcher("x", values) == routes.matcher("x", values[::-1] * 2)


ODD = ["a.b", "a|b", 'quote "', "back\\slash", "(", "[a-z]", "two  spaces ", "ä", "$^"]


@pytest.mark.parametrize("value", ODD)
def test_values_are_taken_literally(run: Run, tmp_path: Path, value: str) -> None:
    """A label is what it is, not a regular expression; alone or among others."""
    key, others = render.to_yaml({"v": value}).partition("v: ")[2].strip(), "plain"
    text = (
        f"labels: [team]\njobs: {{j: {{labels: {{team: {key}}}}}}}\n"
        f"alertmanager:\n{ALL}  routes:\n"
        f"    - {{match: {{labels: {{team: {key}}}}}, receivers: b, continue: true}}\n"
        f"    - {{match: {{labels: {{team: [{key}, {others}]}}}}, receivers: c}}\n"
    )
    config: Config = parse(text)
    render.write(files(config), tmp_path)

    tests = cases(tmp_path)

    assert tests[2][0] == "--verify.receivers=b,c"
    assert failures(run, tmp_path, tests) == []


PATTERNS = [
    *("etl", "^etl-", "orders$", "^(etl|sync)[-.]", r"\.orders", r"^\w+$", r"[\w.]+\d"),
    *("(?i)ETL", "(?i:E)tl", "e.?l-", "^.{5,8}$", "[^a-z]", "()", "a*", "x|^", r"\Ae"),
    *("(?P<kind>etl)-", "t{1,2}l", "[]x-]", r"[*+?]|etl\+|o", "(?:)", "o+?r", r"\bord"),
]
NAMES = ["etl-orders", "etl.orders", "sync.orders2", "orders", "ETL", "reports:daily"]


def test_expressions_mean_to_alertmanager_what_they_mean_to_us(
    run: Run, tmp_path: Path
) -> None:
    """Python reads them here, and Go there."""
    routes = [
        {"match": {"job": pattern}, "receivers": f"r{number}", "continue": True}
        for number, pattern in enumerate(PATTERNS)
    ]
    way = {"webhook": {"url": "http://a/"}}
    text = render.to_yaml(
        {
            "jobs": {name: {} for name in NAMES},
            "alertmanager": {
                "receivers": {f"r{number}": [way] for number in range(len(PATTERNS))},
                "receiver": "discard",
                "routes": routes,
            },
        }
    )
    render.write(files(parse(text)), tmp_path)

    assert failures(run, tmp_path, cases(tmp_path)) == []


def test_nothing_is_configured_and_nothing_breaks() -> None:
    """Without a single job there is still the exporter itself."""
    text = route_tests.text({}, Alertmanager(), (), "am/alertmanager.yml")

    assert text.endswith(
        "--verify.receivers=discard alertname=AfterRunExporterDown severity=critical "
        "job=afterrun\n"
    )


def test_without_routes_by_project_or_tag_no_job_is_read() -> None:
    """Each change of a receiver writes the file, and there may be 100,000 jobs."""

    class Jobs(dict[str, Job]):
        reads = 0

        def items(self) -> Any:
            self.reads += 1
            return super().items()

    text = """
jobs: {{backup: {{tags: [nightly]}}}}
alertmanager:
  receivers: {{oncall: [{{email: a@b.example}}]}}
  routes: [{{match: {{{match}}}, receivers: oncall}}]
"""
    reads = {}
    for match in ("job: backup", "severity: critical", "tags: nightly"):
        config = parse(text.format(match=match))
        jobs = Jobs(config.jobs)
        alertmanager.config_text(jobs, (), config.alertmanager, RECEIVERS)
        reads[match] = jobs.reads

    assert reads == {"job: backup": 0, "severity: critical": 0, "tags: nightly": 1}
