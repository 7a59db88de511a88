"""Sentry's SDK and its command line report to us."""

from __future__ import annotations

from tests.e2e.clients.clients import curl, jobs, python, run, runs
from tests.e2e.daemon.daemon import Daemon
from tests.patience import PATIENCE

SDK = """
import sentry_sdk, time
from sentry_sdk.crons import capture_checkin, MonitorStatus
sentry_sdk.init(dsn="{dsn}", traces_sample_rate=1.0)
CONFIG = {{"schedule": {{"type": "crontab", "value": "0 * * * *"}}, "checkin_margin": 5,
    "max_runtime": 10, "timezone": "Europe/Riga"}}
"""


def dsn(daemon: Daemon) -> str:
    return daemon.url.replace("http://", "http://public@") + "/42"


def sdk(daemon: Daemon, code: str, *, ok: bool = True) -> None:
    end = f"sentry_sdk.flush(timeout={PATIENCE})\n"
    python(SDK.format(dsn=dsn(daemon)) + code + end, ok=ok)


def test_a_monitored_function_is_a_run(daemon: Daemon) -> None:
    sdk(
        daemon,
        """
@sentry_sdk.monitor(monitor_slug="nightly", monitor_config=CONFIG)
def work():
    time.sleep(0.3)
work()
""",
    )

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "ok"
    assert 0.3 <= run["duration"] < 120
    job = daemon.get("/api/v1/jobs/nightly").json()
    assert (job["schedule"], job["timezone"]) == ("0 * * * *", "Europe/Riga")
    assert (job["grace"], job["max_runtime"]) == (300, 600)


def test_one_that_raises_has_failed_and_its_error_is_nobodys_job(
    daemon: Daemon,
) -> None:
    sdk(
        daemon,
        """
@sentry_sdk.monitor(monitor_slug="nightly")
def work():
    raise OSError("the disk is gone")
try:
    work()
except OSError as error:
    sentry_sdk.capture_exception(error)
""",
    )

    (run,) = runs(daemon, "nightly")
    assert run["outcome"] == "fail"
    assert [job["name"] for job in daemon.get("/api/v1/jobs").json()["jobs"]] == [
        "nightly"
    ]


def test_check_ins_by_hand_are_one_run(daemon: Daemon) -> None:
    sdk(
        daemon,
        """
known = capture_checkin(monitor_slug="by-hand", status=MonitorStatus.IN_PROGRESS)
capture_checkin(monitor_slug="by-hand", status=MonitorStatus.OK, check_in_id=known,
    duration=2.5)
""",
    )

    (run,) = runs(daemon, "by-hand")
    assert (run["outcome"], run["duration"]) == ("ok", 2.5)
    assert daemon.series()["afterrun_job_running", "by-hand"] == 0


def test_sentry_cli_wraps_a_command_and_passes_its_status_on(daemon: Daemon) -> None:
    def wrap(command: str, *, ok: bool) -> int:
        options = ("-s", "0 * * * *", "--check-in-margin", "5", "--max-runtime", "10")
        done = run(
            *("sentry-cli", "monitors", "run", *options, "wrapped"),
            *("--", "sh", "-c", command),
            ok=ok,
            SENTRY_DSN=dsn(daemon),
        )
        return done.returncode

    assert wrap("sleep 0.3", ok=True) == 0
    assert wrap("exit 3", ok=False) == 3

    good, bad = runs(daemon, "wrapped")
    assert (good["outcome"], bad["outcome"]) == ("ok", "fail")
    assert good["duration"] >= 0.3


def test_a_check_in_by_curl(daemon: Daemon) -> None:
    check_in = "1f2e3d4c5b6a79880123456789abcdef"
    url = f"{daemon.url}/api/42/cron/nightly/public/?check_in_id={check_in}&status="
    curl(f"{url}in_progress")
    curl(f"{url}in_progress")
    curl("-d", '{"status": "error", "duration": 2.5}', f"{url}error")
    curl(f"{daemon.url}/api/42/cron/nightly/public/?status=ok")

    bad, good = runs(daemon, "nightly")
    assert (bad["outcome"], bad["duration"], bad["run_id"]) == ("fail", 2.5, check_in)
    assert (good["outcome"], good["run_id"]) == ("ok", None)
    assert jobs(daemon) == {"nightly": 0}
