"""One night of ten jobs, and what was sent about them.

All run well; then everything goes wrong at once, the daemon is killed and comes back,
and everything is mended. After each act it is noted what has been sent until then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from afterrun_exporter import conventions as names

from .backup import Backup, Crontab, Report
from .chain import Chain, Pace
from .inbox import Sent
from .network import get, query, wait_for

CONFIG: Final = Path(__file__).with_name("afterrun.yml")

#: The daemon's `settle` there.
SETTLE_SECONDS: Final = 20.0

#: Alertmanager waits for so long for more alerts of a group before its first message.
PACE: Final = Pace(group_wait="5s")

#: After this long nothing more is under way: scrapes, evaluations and groups that are
#: told again take a second each.
QUIET_SECONDS: Final = 8.0

CRON_SECONDS: Final = 3.0
REPEATS: Final = 10

GOOD: Final = "runs-well"
STORM: Final = "retry-storm"
HEALED: Final = "healed-at-once"
OVERRUNS: Final = "overruns"
STOPS: Final = "stops"
TOO_SOON: Final = "ends-too-soon"

#: What its rule asks for; a good run waits a second between any two months.
TOO_SOON_SECONDS: Final = 10.0
TOO_SOON_MONTHS: Final = 12

Change = Callable[[Backup], None]

#: What goes wrong before a run of these jobs.
BREAK: Final[dict[str, Change]] = {
    "empty-artefact": lambda backup: backup.swallow("backup.tar.gz"),
    "zero-rows": lambda backup: backup.mend(orders=0),
    "exits-with-1": lambda backup: backup.lose_table(),
    TOO_SOON: lambda backup: backup.mend(months=1),
    "unreadable-report": lambda backup: backup.swallow("rows_processed.txt"),
    STORM: lambda backup: backup.mend(orders=0),
}

#: In the first act there is a message about each of these, and about one its end, too.
TROUBLED: Final = (*BREAK, OVERRUNS, STOPS)
TROUBLES: Final = Counter({**dict.fromkeys(TROUBLED, 1), HEALED: 2})
RECOVERIES: Final = Counter(TROUBLED)


@dataclass(frozen=True, slots=True)
class Story:
    """What happened."""

    #: How the runs of the job went that is always well.
    good: list[Report]
    #: How a run of the other jobs went when all was well, when it was not, and when
    #: it was again.
    before: dict[str, Report]
    broken: dict[str, Report]
    mended: dict[str, Report]
    #: What was answered to repeats of one and the same report, act by act.
    repeats: tuple[list[Report], ...]

    after_trouble: Sent
    after_restart: Sent
    at_the_end: Sent


def play(chain: Chain, home: Path) -> Story:
    """Let it all happen; *chain* is running."""
    jobs = (GOOD, *TROUBLED, HEALED)
    backups = {job: Backup(job, home, chain.daemon_url) for job in jobs}
    good, stops, storm = backups[GOOD], backups[STOPS], backups[STORM]
    with Crontab(CRON_SECONDS) as crontab, ThreadPoolExecutor(len(jobs)) as pool:

        def run(prepare: dict[str, Change]) -> dict[str, Report]:
            runs = [pool.submit(_run, backups[job], prepare[job]) for job in prepare]
            return {job: run.result() for job, run in zip(prepare, runs, strict=True)}

        crontab.install(good, stops)
        before = run(dict.fromkeys(BREAK, _mend))
        wait_for(lambda: is_watching(chain.prometheus_url))

        with backups[OVERRUNS].locked():
            endless = pool.submit(backups[OVERRUNS].run)
            # Somebody comments the line out.
            crontab.install(good)
            broken = run({**BREAK, HEALED: lambda backup: backup.mend(orders=0)})
            run({HEALED: _mend})
            # On a busy machine even such a run may take long enough.
            while backups[TOO_SOON].seconds() >= TOO_SOON_SECONDS:
                broken[TOO_SOON] = backups[TOO_SOON].run()
            bad = storm.last_report()
            repeats = [storm.repeat(bad, REPEATS)]
            after_trouble = _sent(chain, TROUBLES)

            _kill_and_restart(chain, crontab)
            repeats.append(storm.repeat(bad, REPEATS))
            time.sleep(SETTLE_SECONDS)
            after_restart = _sent(chain, TROUBLES)

        crontab.install(good, stops)
        mended = run(dict.fromkeys(BREAK, _mend))
        mended[OVERRUNS] = endless.result()
        repeats.append(storm.repeat(bad, REPEATS))
        at_the_end = _sent(chain, TROUBLES + RECOVERIES)
    return Story(
        good=crontab.reports(GOOD),
        before=before,
        broken=broken,
        mended=mended,
        repeats=tuple(repeats),
        after_trouble=after_trouble,
        after_restart=after_restart,
        at_the_end=at_the_end,
    )


def is_watching(prometheus: str) -> bool:
    """Return whether Prometheus scrapes the daemon and has found Alertmanager."""
    found = get(f"{prometheus}/api/v1/alertmanagers") or b""
    return bool(query(prometheus, names.BUILD_INFO)) and b"/api/v2/alerts" in found


def _run(backup: Backup, prepare: Change) -> Report:
    prepare(backup)
    return backup.run()


def _mend(backup: Backup) -> None:
    backup.mend(months=TOO_SOON_MONTHS if backup.job == TOO_SOON else 1)


def _kill_and_restart(chain: Chain, crontab: Crontab) -> None:
    """Kill the daemon, for so long that the job which is well passes its deadline."""
    chain.daemon.kill()
    wait_for(lambda: query(chain.prometheus_url, 'up{job="afterrun"} == 0'))
    answers = [report.answer for report in crontab.reports(GOOD)]
    deadline = max(answer["deadline"] for answer in answers if answer)
    overdue = datetime.fromisoformat(deadline).timestamp() + 1
    wait_for(lambda: time.time() > overdue)
    chain.daemon.start()
    wait_for(lambda: query(chain.prometheus_url, 'up{job="afterrun"} == 1'))


def _sent(chain: Chain, expected: Counter[str]) -> Sent:
    """Wait for messages about each job, and a while for more; return all."""
    wait_for(lambda: _has_come(chain.inbox.sent(), expected))
    time.sleep(QUIET_SECONDS)
    return chain.inbox.sent()


def _has_come(sent: Sent, expected: Counter[str]) -> bool:
    mails = Counter(mail.job for mail in sent.mails)
    notifications = Counter(told.job for told in sent.notifications)
    return mails >= expected and notifications >= expected
