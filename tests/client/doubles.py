"""A daemon in memory, which may be down, forget to answer, or refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from afterrun_exporter.client.daemon import (
    Answer,
    Daemon,
    NotDeliveredError,
    RefusedError,
)
from afterrun_exporter.client.reports import Report, report
from afterrun_exporter.client.spool import REJECTED, Spool

URL = "http://afterrun:10707"

#: Jobs whose reports are never taken.
REFUSED = "refused"
#: Jobs over whose reports the daemon fails, as over nothing else.
POISON = "poison"


@dataclass
class MemoryDaemon(Daemon):
    """Takes reports as the real one does: a repeat of a run id counts once."""

    url: str = URL
    up: bool = True
    #: Whether what was recorded is also answered.
    answers: bool = True
    #: How often each run was sent.
    sent: Counter[str] = field(default_factory=Counter)
    #: The runs it has, in the order in which they came.
    runs: list[str] = field(default_factory=list)

    def send(self, report: Report, timeout: float) -> Answer:
        (answer,) = self.send_all([report], timeout)
        if "title" in answer:
            raise RefusedError(answer["detail"])
        return answer

    def send_all(self, reports: Sequence[Report], timeout: float) -> list[Answer]:
        assert timeout > 0
        if not self.up:
            raise NotDeliveredError("connection refused")
        if any(one.job.startswith(POISON) for one in reports):
            raise NotDeliveredError("500: a fault", broken=True)
        answers = [self._send(one) for one in reports]
        if not self.answers:
            raise NotDeliveredError("connection reset")
        return answers

    def _send(self, one: Report) -> Answer:
        if one.job == REFUSED:
            return {"title": "Bad Request", "status": 400, "detail": "no such job"}
        run_id = one.fields["run_id"]
        self.sent[run_id] += 1
        if run_id not in self.runs:
            self.runs.append(run_id)
        return {"kind": one.kind, "outcome": "ok", "warnings": []}


def spooled(spool: Spool) -> Iterator[tuple[str, str, Report]]:
    """Yield what waits in *spool*: name, the daemon's URL, report."""
    for one in spool.files():
        if one.report is not None and not one.name.startswith(REJECTED):
            yield one.name, one.url, one.report


def told(run_id: str, status: str = "ok", job: str = "backup") -> Report:
    """Return a report of a run."""
    return report(job, status, run_id=run_id)


def silent(text: str) -> None:
    """Tell nobody."""
