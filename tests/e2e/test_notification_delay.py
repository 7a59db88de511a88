"""From the answer to a failing job's ping to the POST that tells somebody: five seconds.

With the files that `afterrun generate` writes, and nothing shortened but the windows of
the alerting rules. Prometheus scrapes and evaluates beside it.
"""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from functools import partial
from typing import Final

import pytest

from tests.patience import PATIENCE

from . import network
from .conftest import Launch
from .generated import Generated, assemble
from .inbox import posts_in

#: How long whoever is told may have to wait.
BAR: Final = 5.0

TIMES: Final = 10

CONFIG: Final = """\
alertmanager:
  push_to: [ALERTMANAGER]
  receivers:
    hook: [{webhook: {url: HOOK}}]
  group_by: [alertname, job_name]
"""

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def chain(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """All of it running; nothing has failed yet."""
    chain = assemble(tmp_path_factory.mktemp("five-seconds"), CONFIG)
    for process in (chain.webhook, chain.alertmanager, chain.daemon, chain.prometheus):
        launch(process)
    return chain


def fail(chain: Generated, job: str) -> float:
    """Report that *job* failed; return when that was answered."""
    address = f"{chain.daemon_url}/ping/{job}"
    body = json.dumps({"status": "fail"}).encode()
    with urllib.request.urlopen(address, body, timeout=PATIENCE) as answer:  # noqa: S310
        assert answer.status == 200
    return time.time()


def told_at(chain: Generated, job: str) -> float | None:
    """Return when somebody was told that *job* fails, None while nobody was."""
    for post in posts_in(chain.inbox.posted):
        if any(a["labels"].get("job_name") == job for a in post["body"]["alerts"]):
            return float(post["at"])
    return None


def test_somebody_is_told(chain: Generated) -> None:
    fail(chain, "soon")

    assert network.wait_for(partial(told_at, chain, "soon"))


@pytest.mark.slow
def test_somebody_is_told_within_five_seconds_ten_times_in_a_row(
    chain: Generated,
) -> None:
    took: list[float] = []
    for number in range(TIMES):
        job = f"job-{number}"
        answered = fail(chain, job)
        told = network.wait_for(partial(told_at, chain, job))
        assert told is not None, f"nobody was told of {job}"
        took.append(told - answered)
    log.info("seconds: %s", " ".join(f"{seconds:.2f}" for seconds in took))

    assert max(took) < BAR, took
