"""One evening of eleven jobs, from the first trouble to the last recovery.

Everything goes wrong at once, the daemon is killed and comes back, everything is
mended. At the end of each act it is noted what has been sent until then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from afterrun_exporter import conventions as names

from .backup import Backup, Crontab, Report
from .chain import Chain
from .inbox import Mail, Notification
from .network import get, query, wait_for

CONFIG: Final = Path(__file__).with_name("afterrun.yml")

#: The daemon's `settle` there.
SETTLE_SECONDS: Final = 8.0

#: After this long nothing more is under way: scrapes, evaluations and groups take
#: a second each.
QUIET_SECONDS: Final = 5.0

CRON_SECONDS: Final = 3.0
REPEATS: Final = 10

GOOD: Final = "runs-well"
STORM: Final = "retry-storm"
HEALED: Final = "healed-at-once"
OVERRUNS: Final = "overruns"
STOPS: Final = "stops"

#: What goes wrong with the jobs that run once, and how.
BREAK: Final[dict[str, Callable[[Backup], None]]] = {
    "empty-artefact": lambda backup: backup.swallow("backup.tar.gz"),
    "zero-rows": lambda backup: backup.mend(orders=0),
    "exits-with-1": lambda backup: backup.lose_table(),
    "ends-too-soon": lambda backup: backup.mend(months=1),
    "unreadable-report": lambda backup: backup.swallow("rows_processed.txt"),
    STORM: lambda backup: backup.mend(orders=0),
}
MEND: Final[dict[str, Callable[[Backup], None]]] = {
    "ends-too-soon": lambda backup: backup.mend(months=6),
}

#: The jobs of which there is a message by the end of the first act, and how many.
TROUBLED: Final = (*BREAK, OVERRUNS, STOPS)
MESSAGES: Final = Counter({**dict.fromkeys(TROUBLED, 1), HEALED: 2, "": 1})


@dataclass(frozen=True, slots=True)
class Sent:
    """All that has been sent until some moment."""

    mails: tuple[Mail, ...]
    notifications: tuple[Notification, ...]
    slack: tuple[dict[str, Any], ...]

    def mails_about(self, job: str) -> list[Mail]:
        """Return the mails about *job*, or, for "", about no job."""
        return [mail for mail in self.mails if mail.job == job]

    def notifications_about(self, job: str) -> list[Notification]:
        """Return what the webhook was told about *job*."""
        return [told for told in self.notifications if told.job == job]


@dataclass(frozen=True, slots=True)
class Story:
    """What happened."""

    #: What the script of each job said when things went wrong.
    reports: dict[str, Report]
    #: What was answered to each repeat of a report, in the order of the acts.
    repeats: tuple[list[Report], ...]
    #: Runs of the job that is always well.
    good: list[Report]
    after_trouble: Sent
    after_restart: Sent
    at_the_end: Sent


def play(chain: Chain, home: Path) -> Story:
    """Let it all happen; *chain* is running."""
    jobs = (GOOD, *TROUBLED, HEALED)
    backups = {job: Backup(job, home, chain.url) for job in jobs}
    wait_for(lambda: _is_watching(chain.prometheus))
    with Crontab(CRON_SECONDS) as crontab, ThreadPoolExecutor(len(jobs)) as pool:
        crontab.install(backups[GOOD], backups[STOPS])
        with backups[OVERRUNS].locked():
            endless = pool.submit(backups[OVERRUNS].run)
            healed = pool.submit(_heal_at_once, backups[HEALED])
            runs = {job: pool.submit(_break, backups[job]) for job in BREAK}
            reports = {job: run.result() for job, run in runs.items()}
            storm = backups[STORM].last_report()
            repeats = [backups[STORM].repeat(storm, REPEATS)]
            healed.result()
            # Somebody comments the line out.
            crontab.install(backups[GOOD])
            after_trouble = _sent(chain, MESSAGES)

            _kill_and_restart(chain, crontab)
            repeats.append(backups[STORM].repeat(storm, REPEATS))
            time.sleep(SETTLE_SECONDS)
            after_restart = _sent(chain, MESSAGES)

        crontab.install(backups[GOOD], backups[STOPS])
        for run in [pool.submit(_mend, backups[job]) for job in BREAK]:
            run.result()
        repeats.append(backups[STORM].repeat(storm, REPEATS))
        reports[OVERRUNS] = endless.result()
        at_the_end = _sent(chain, MESSAGES + Counter(TROUBLED))
        good = crontab.reports(GOOD)
    return Story(
        reports=reports,
        repeats=tuple(repeats),
        good=good,
        after_trouble=after_trouble,
        after_restart=after_restart,
        at_the_end=at_the_end,
    )


def _is_watching(prometheus: str) -> bool:
    """Return whether Prometheus scrapes the daemon and has found Alertmanager."""
    found = get(f"{prometheus}/api/v1/alertmanagers") or b""
    return bool(query(prometheus, names.BUILD_INFO)) and b"/api/v2/alerts" in found


def _break(backup: Backup) -> Report:
    BREAK[backup.job](backup)
    return backup.run()


def _mend(backup: Backup) -> Report:
    MEND.get(backup.job, Backup.mend)(backup)
    return backup.run()


def _heal_at_once(backup: Backup) -> None:
    backup.mend(orders=0)
    backup.run()
    backup.mend()
    backup.run()


def _kill_and_restart(chain: Chain, crontab: Crontab) -> None:
    """Kill the daemon for so long that the job which is well passes its deadline."""
    chain.daemon.kill()
    wait_for(lambda: query(chain.prometheus, 'up{job="afterrun"} == 0'))
    answers = [report.answer for report in crontab.reports(GOOD)]
    deadline = max(answer["deadline"] for answer in answers if answer)
    overdue = datetime.fromisoformat(deadline).timestamp() + 1
    wait_for(lambda: time.time() > overdue)
    chain.daemon.start()
    wait_for(lambda: query(chain.prometheus, 'up{job="afterrun"} == 1'))


def _sent(chain: Chain, expected: Counter[str]) -> Sent:
    """Wait for messages about each job, and a while for more; return all."""
    wait_for(lambda: _has_come(chain, expected))
    time.sleep(QUIET_SECONDS)
    inbox = chain.inbox
    return Sent(
        mails=tuple(inbox.mails()),
        notifications=tuple(inbox.notifications()),
        slack=tuple(inbox.slack()),
    )


def _has_come(chain: Chain, expected: Counter[str]) -> bool:
    mails = Counter(mail.job for mail in chain.inbox.mails())
    notifications = Counter(told.job for told in chain.inbox.notifications())
    return mails >= expected and notifications >= expected
