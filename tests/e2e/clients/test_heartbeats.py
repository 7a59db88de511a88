"""Clients that need nothing but a URL."""

from __future__ import annotations

from tests.e2e.clients.clients import WAIT_UNTIL, curl, python, runs
from tests.e2e.daemon.daemon import Daemon


def test_apykuma_pushes(daemon: Daemon) -> None:
    python(
        WAIT_UNTIL
        + f"""
import apykuma, asyncio
async def main():
    await apykuma.start("{daemon.url}/api/push/TOKEN?status=up&msg=OK&ping=")
    await asyncio.to_thread(
        wait_until, "{daemon.url}/api/v1/jobs/TOKEN/runs", '"outcome"'
    )
asyncio.run(main())
"""
    )

    (run,) = runs(daemon, "TOKEN")
    assert run["outcome"] == "ok"


def test_curl_checks_in_with_a_snitch(daemon: Daemon) -> None:
    url = f"{daemon.url}/snitch/c2354d53d2"

    assert curl("-d", "m=42 rows", url) == "Got it, thanks!"
    curl("-G", "--data-urlencode", "m=it broke", "-d", "s=1", url)

    good, bad = runs(daemon, "c2354d53d2")
    assert (good["outcome"], good["message"]) == ("ok", "42 rows")
    assert (bad["outcome"], bad["message"]) == ("fail", "it broke")


def test_curl_sends_the_heartbeat_of_better_stack(daemon: Daemon) -> None:
    url = f"{daemon.url}/api/v1/heartbeat/abc"
    curl(url)
    curl("--data", "tar: no space left", f"{url}/2")
    curl(f"{url}/fail")

    outcomes = [(run["outcome"], run["exit_code"]) for run in runs(daemon, "abc")]
    assert outcomes == [("ok", None), ("fail", 2), ("fail", None)]
