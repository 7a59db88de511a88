"""`afterrun jobs`, `runs` and `alerts`: questions to a daemon that runs."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.cli.times import age, happened, local, when
from afterrun_exporter.core.model import Job, Kind, Outcome
from afterrun_exporter.core.timestamps import format_time
from afterrun_exporter.engine.service import Service
from tests.copies import replace
from tests.core.jobs import at, ping
from tests.fakes import ManualClock
from tests.services import job_config

from .conftest import Ask


def rows(result: Result) -> list[list[str]]:
    """Return the cells of the table that was printed."""
    assert result.exit_code == 0, result.output
    return [re.split(r"\s{2,}", line) for line in result.stdout.splitlines()]


async def test_jobs_are_a_table(ask: Ask, service: Service) -> None:
    """Plain text in a pipe, with nothing cut and nothing at the ends of lines."""
    await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 48211.0}))

    result = await ask("jobs")

    header, job = rows(result)
    assert header == [
        *("JOB", "STATE", "LAST RUN", "OUTCOME", "LAST SUCCESS", "DEADLINE"),
        "OPEN ALERTS",
    ]
    assert (job[0], job[1], job[3]) == ("backup", "violated", "violated")
    assert (job[4], job[6]) == ("never", "violated: rows > 0")
    assert "\x1b" not in result.stdout
    assert not re.search(r" $", result.stdout, re.MULTILINE)


async def test_every_job_is_shown(ask: Ask, service: Service) -> None:
    """However many answers that takes."""
    many = [ping("21 12:00", job=f"job-{n:04}") for n in range(1200)]
    await service.record_all(many)

    result = await ask("jobs", "--json")

    found = json.loads(result.stdout)
    assert len(found["jobs"]) == 1201
    assert found["next"] is None


async def test_jobs_in_no_state_are_none(ask: Ask) -> None:
    """In words, for there is no table of nothing."""
    assert (await ask("jobs", "--state", "missed")).stdout == "no jobs match\n"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--label", "team=data"), ["load", "sync"]),
        (("--label", "team=data", "--label", "env=prod"), ["load"]),
        (("--project", "shop"), ["sync"]),
        (("--tag", "db", "--tag", "big"), ["load"]),
        (("YN",), ["sync"]),
        (("o", "--state", "paused"), ["off"]),
    ],
)
async def test_jobs_are_chosen_by_what_describes_them(
    ask: Ask, service: Service, options: tuple[str, ...], found: list[str]
) -> None:
    """All that is asked for must hold."""
    jobs = (
        Job(
            name="load", labels=(("team", "data"), ("env", "prod")), tags=("db", "big")
        ),
        Job(name="sync", labels=(("team", "data"), ("env", "test")), project="shop"),
        Job(name="off", tags=("db",), enabled=False),
    )
    await service.reconfigure(job_config(*jobs))

    _, *shown = rows(await ask("jobs", *options))

    assert [row[0] for row in shown] == found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "backup is paused until `afterrun resume backup`\n"),
        (
            ("--for", "2h"),
            (
                f"backup is paused until {local('2026-11-21T14:00:00Z')} or until "
                "`afterrun resume backup`\n"
            ),
        ),
        (
            ("--until", "2026-11-22T06:00:00+02:00", "--resume-on-ping"),
            (
                f"backup is paused until {local('2026-11-22T04:00:00Z')} or until it "
                "reports or until "
                "`afterrun resume backup`\n"
            ),
        ),
    ],
)
async def test_a_job_is_paused_and_resumed(
    ask: Ask, options: tuple[str, ...], said: str
) -> None:
    """With words for how each of them ends."""
    paused = await ask("pause", "backup", *options)
    shown = rows(await ask("jobs", "--state", "paused"))
    resumed = await ask("resume", "backup")

    assert paused.stdout == said
    assert shown[1][:2] == ["backup", "paused"]
    assert resumed.stdout == (
        f"backup is monitored again: new, due by {local('2026-11-22T02:30:00Z')}\n"
    )


async def test_who_pauses_and_resumes_may_be_a_program(ask: Ask) -> None:
    """Both print the job as it is then."""
    paused = json.loads((await ask("pause", "backup", "--json")).stdout)
    resumed = json.loads((await ask("resume", "backup", "--json")).stdout)

    assert (paused["name"], paused["state"]) == ("backup", "paused")
    assert (resumed["name"], resumed["state"]) == ("backup", "new")


async def test_a_job_that_the_file_disables_is_not_resumed(
    ask: Ask, service: Service
) -> None:
    """It says why."""
    await service.reconfigure(job_config(Job(name="off", enabled=False)))

    resumed = await ask("resume", "off")

    assert resumed.exit_code == 1
    assert resumed.stderr == (
        "Error: job 'off' has 'enabled: false' in afterrun.yml; change it there\n"
    )


async def test_runs_are_a_table(ask: Ask, service: Service) -> None:
    """With what each reported, and what is to be said of it."""
    bad = {"rows": 0.0, "size": 48211.0}
    await service.record(ping("21 12:00", run_id="first", duration=5.3))
    await service.record(ping("21 12:01", metrics=bad, attempt=2, message="odd"))

    result = await ask("runs", "backup")

    _, last, first = rows(result)
    assert (first[0], last[0]) == ("#1", "#2")
    assert last[2:] == [
        *("violated", "(attempt 2)", "rows=0 size=48211", "broke rows > 0; odd")
    ]
    assert first[2:] == ["ok", "5.3s", "first", "rows=120 size=48211"]


async def test_runs_with_long_metadata_are_all_listed(
    ask: Ask, service: Service
) -> None:
    """However many answers that takes."""
    metadata = json.dumps({"log": "x" * 900_000})
    for minute in range(6):
        await service.record(ping(f"21 12:0{minute}", metadata=metadata))

    for job in ((), ("backup",)):
        result = await ask("runs", *job, "--limit", "5", "--json")

        found = json.loads(result.stdout)
        assert [run["number"] for run in found["runs"]] == [6, 5, 4, 3, 2]
        assert found["next"] is not None


async def test_the_runs_of_all_jobs_are_a_table(ask: Ask, service: Service) -> None:
    await service.record(ping("21 12:00", run_id="first"))
    await service.record(ping("21 12:01", job="sync", outcome=Outcome.TIMEOUT))

    every, timeouts = await ask("runs"), await ask("runs", "--outcome", "timeout")
    none = await ask("runs", "--outcome", "partial")

    assert [row[0] for row in rows(every)] == ["JOB", "sync", "backup"]
    assert [row[0] for row in rows(timeouts)] == ["JOB", "sync"]
    assert none.stdout == "no runs match\n"


async def test_a_failed_attempt_is_shown_as_retrying(
    ask: Ask, service: Service
) -> None:
    failed = ping("21 12:00", run_id="r7", outcome=Outcome.FAIL, message="disk full")
    await service.record(replace(failed, attempt=1, max_attempts=3))

    (_, attempt) = rows(await ask("runs", "backup"))
    assert attempt[2:4] == ["retrying", "r7 (attempt 1 of 3)"]
    assert attempt[-1] == "attempt ended with fail; disk full"
    (_, job) = rows(await ask("jobs"))
    assert job[:2] == ["backup", "retrying"]


async def test_what_a_job_says_does_not_reach_the_terminal(
    ask: Ask, service: Service
) -> None:
    """Neither its control codes nor what a table would take for colours."""
    said = "\x1b[31mred\x07 [bold]loud[/bold]\nnext"
    await service.record(ping("21 12:00", message=said))

    result = await ask("runs", "backup")

    assert "\x1b" not in result.stdout
    assert "  red [bold]loud[/bold] next\n" in result.stdout


async def test_a_failed_run_has_its_exit_code_host_and_the_end_of_its_message(
    ask: Ask, service: Service
) -> None:
    """What a person asks first; JSON has the whole message."""
    said = "x" * 5000 + " disk full"
    failed = ping("21 12:00", outcome=Outcome.FAIL, exit_code=3, message=said)
    await service.record(replace(failed, metadata='{"host": "db1\\u001b[0m"}'))
    await service.record(ping("21 12:01"))

    header, _, last = rows(await ask("runs", "backup"))

    assert "HOST" in header
    assert "db1" in last
    assert re.fullmatch(r"exit code 3; …x+ disk full", last[-1])
    assert len(last[-1]) < 350
    whole = json.loads((await ask("runs", "backup", "--json")).stdout)
    assert whole["runs"][1]["message"] == said


async def test_an_open_run_is_above_those_that_have_ended(
    ask: Ask, service: Service
) -> None:
    start = ping("21 12:00", kind=Kind.START, run_id="night-7", metrics={})
    await service.record(replace(start, metadata='{"host": "db1"}'))

    first = await ask("runs", "backup")
    await service.record(ping("21 12:00", run_id="other"))
    second = await ask("runs", "backup")

    assert re.match(r"running since 2026-11-21 .*, run night-7 on db1", first.stdout)
    assert first.stdout.endswith("\nno run has ended yet\n")
    assert second.stdout.startswith("running since ")
    assert "\nRUN " in second.stdout


async def test_the_broken_jobs_among_others_are_counted(
    ask: Ask, service: Service
) -> None:
    await service.record(ping("21 12:00", job="fine"))
    await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 48211.0}))
    await service.record(ping("21 12:00", job="bad", outcome=Outcome.FAIL))

    every, broken = await ask("jobs"), await ask("jobs", "--state", "broken")

    assert every.stdout.splitlines()[-1] == (
        "Broken: 2 of 3 jobs (1 failing, 1 violated). "
        "`--state broken` lists them alone."
    )
    assert "Broken: " not in broken.stdout


async def test_a_job_that_has_not_run_has_no_runs(ask: Ask) -> None:
    """And one that nobody knows is an error."""
    known, unknown = await ask("runs", "backup"), await ask("runs", "bakup")

    assert (known.exit_code, known.stdout) == (0, "backup has not run yet\n")
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        "Error: unknown job 'bakup'; did you mean 'backup'?\n",
    )


async def test_alerts_are_a_table(
    ask: Ask, service: Service, clock: ManualClock
) -> None:
    """The newest first, with how long each lasted."""
    await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 48211.0}))
    await clock.advance(180)
    await service.record(ping("21 12:03"))

    everything = await ask("alerts", "list")
    nothing = await ask("alerts", "list", "--state", "open")

    _, alert = rows(everything)
    assert alert[1:] == [
        *("resolved after 3m", "warning", "backup", "violated"),
        "rows was 0, expected > 0",
    ]
    assert nothing.stdout == "no alerts\n"


async def test_statistics_are_lines_and_a_table(ask: Ask, service: Service) -> None:
    await service.record(ping("21 12:00", metrics={"rows": 0.0, "size": 48211.0}))

    counted = await ask("alerts", "stats", "--since", "2026-11-21T00:00:00Z")

    assert ": 1 alert\nopen now: 1\n" in counted.stdout
    assert ["kind", "violated", "1"] in rows(counted)


async def test_a_test_alert_is_tried_out(ask: Ask) -> None:
    """And is one of those that are listed, and not of those that are counted."""
    tried = await ask("alerts", "test", "backup", "--for", "1m")
    listed = await ask("alerts", "list", "--kind", "test", "--json")
    counted = await ask("alerts", "stats", "--since", "2026-11-21T00:00:00Z")

    assert tried.stdout == (
        "AfterRunTest is open for job backup, severity warning, until "
        f"{local('2026-11-21T12:01:00Z')}: check who is notified\n"
    )
    (alert,) = json.loads(listed.stdout)["alerts"]
    assert (alert["job"], alert["state"]) == ("backup", "open")
    assert ": 0 alerts\nopen now: 0\n" in counted.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["jobs", "--state", "x"], "unknown state 'x': use one of broken, missed"),
        (["alerts", "list", "--since", "x"], "since: 'x' is neither a duration nor"),
        (["alerts", "test", "--for", "1s"], "for: '1s' is out of range: use 10s to"),
        (["alerts", "test", "x"], "unknown job 'x': `afterrun jobs` and GET"),
        (["jobs", "--label", "x"], "label 'x' is not a label: write it like team=data"),
        (["pause", "x"], "unknown job 'x': `afterrun jobs` and GET"),
        (
            ["pause", "backup", "--for", "2"],
            "for: '2' is not a duration; write 2s or 2m",
        ),
        (["resume", "bakup"], "unknown job 'bakup'; did you mean 'backup'?"),
    ],
)
async def test_what_the_daemon_refuses_is_told_in_its_words(
    ask: Ask, arguments: list[str], problem: str
) -> None:
    """On one line."""
    result = await ask(*arguments)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {problem}")
    assert result.stderr.count("\n") == 1


@contextmanager
def somebody_else(said: bytes, heard: list[bytes] | None = None) -> Iterator[str]:
    """Let something listen that is none of ours, and answers so; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                request = connection.recv(4096)
                if heard is not None:
                    heard.append(request)
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                # With unread bytes left, closing would discard the response.
                while connection.recv(4096):
                    pass

        thread = Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "{} does not respond like AfterRun"),
        (
            b"HTTP/1.0 404 Not Found\r\n\r\n<html>",
            "{} answered 404 Not Found and does not respond like AfterRun",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "{} does not respond like AfterRun"),
        (b"HTTP/1.0 200 OK\r\n\r\n[1]", "{} does not respond like AfterRun 0"),
        (b"HTTP/1.0 200 OK\r\n\r\nnull", "{} does not respond like AfterRun 0"),
        (
            b'HTTP/1.0 200 OK\r\n\r\n{"jobs": [{"name": 1}], "next": null}',
            "{} does not respond like AfterRun 0",
        ),
        (
            b"HTTP/1.0 302 Found\r\nLocation: http://b.example/api\r\n\r\n",
            "{} answered 302 with a redirect to 'http://b.example/api'; if that is",
        ),
        (b"", "no response from {}: "),
    ],
)
def test_who_is_no_daemon_is_told_from_one(said: bytes, problem: str) -> None:
    """On one line."""
    with somebody_else(said) as url:
        result = CliRunner().invoke(afterrun, ["jobs", "--url", url])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {problem.format(url)}")
    assert result.stderr.count("\n") == 1


def test_a_daemon_that_does_not_answer_is_one_line() -> None:
    """With what to do about it. The environment says where to ask, too."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    result = CliRunner().invoke(afterrun, ["jobs"], env={"AFTERRUN_URL": url})

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"Error: no response from {url}: Connection refused; is AfterRun running "
        "there? Set --url or AFTERRUN_URL for another address\n"
    )


def test_credentials_in_the_url_are_sent_and_not_printed() -> None:
    heard: list[bytes] = []
    with somebody_else(b"HTTP/1.0 200 OK\r\n\r\n<html>", heard) as url:
        secret = url.replace("//", "//any:S3CRET@")
        result = CliRunner().invoke(afterrun, ["jobs"], env={"AFTERRUN_URL": secret})

    assert b"\r\nAuthorization: Basic YW55OlMzQ1JFVA==\r\n" in heard[0]
    assert result.stderr == f"Error: {url} does not respond like AfterRun\n"


def test_a_token_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("S3CRET\n")
    heard: list[bytes] = []
    with somebody_else(b"HTTP/1.0 200 OK\r\n\r\n<html>", heard) as url:
        options = ["jobs", "--url", url, "--token-file", str(file)]
        CliRunner().invoke(afterrun, options)

    assert b"\r\nAuthorization: Bearer S3CRET\r\n" in heard[0]


@pytest.mark.parametrize(
    ("url", "token"),
    [
        *(("http://127.0.0.1:9", "S3CRET\nS3CRET"), ("any:S3CRET@host:1", "")),
        *(("http://any:S3CRET/x@127.0.0.1:9", ""), ("http://any:S3CRET@[x", "")),
    ],
)
def test_credentials_that_cannot_be_used_are_not_printed(url: str, token: str) -> None:
    environ = {"AFTERRUN_URL": url, "AFTERRUN_TOKEN": token}
    result = CliRunner().invoke(afterrun, ["jobs"], env=environ)

    assert result.exit_code in {1, 2}
    assert result.stderr
    assert "S3CRET" not in result.output


@pytest.mark.parametrize("url", ["localhost:10707", "ftp://localhost", "file:///etc"])
def test_an_address_that_is_none_is_a_mistake_of_the_command(url: str) -> None:
    result = CliRunner().invoke(afterrun, ["jobs", "--url", url])

    assert result.exit_code == 2
    assert f"--url {url!r} is not an http or https URL" in result.stderr


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"),
     (172_799, "47h"), (172_800, "2d"), (40_000_000, "462d")],
)  # fmt: skip
def test_an_age_is_told_in_one_unit(seconds: float, told: str) -> None:
    assert age(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(-90, "in 90s"), (0, "0s ago"), (7200, "2h ago")]
)
def test_a_time_is_told_as_a_clock_here_shows_it(seconds: float, told: str) -> None:
    """And how far it is from now."""
    now = at("22 02:00")

    found = when(format_time(now - seconds), now)

    assert re.fullmatch(rf"2026-11-2\d \d\d:\d\d [+-]\d{{4}} \({told}\)", found)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (7200, "2h ago"),
        (-1, "just now"),
        (-59, "just now"),
        (-60, "60s ahead of this clock"),
        (-10_800, "3h ahead of this clock"),
    ],
)
def test_what_has_happened_is_not_told_as_what_is_to_come(
    seconds: float, told: str
) -> None:
    """The clock of the daemon was ahead, or the one here is behind."""
    now = at("22 02:00")

    found = happened(format_time(now - seconds), now)

    assert re.fullmatch(rf"2026-11-2\d \d\d:\d\d [+-]\d{{4}} \({told}\)", found)


async def test_runs_have_the_commit_that_judged_them(
    ask: Ask, service: Service
) -> None:
    """Without a repository there is no column for it."""
    await service.record(ping("21 12:00"))
    assert "CONFIG" not in rows(await ask("runs", "backup"))[0]

    service.note_revision("0123456789abcdef" + "-dirty")
    await service.record(ping("21 12:01"))

    header, newest, *_ = rows(await ask("runs", "backup"))
    assert "CONFIG" in header
    assert "0123456789ab-dirty" in newest
    whole = json.loads((await ask("runs", "backup", "--json")).stdout)
    assert [run["config_commit"] for run in whole["runs"]] == [
        "0123456789abcdef-dirty",
        "",
    ]
