"""A job reports, AfterRun judges, Prometheus scrapes, Alertmanager tells someone.

Real programs, real mails, a real backup; the shipped configuration files.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import unescape

import pytest

from afterrun_exporter import conventions as names

from . import story as night
from .chain import assemble
from .conftest import Launch
from .inbox import Sent
from .story import Story

FIRING = "firing"
RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What somebody is to read when a job is in trouble."""

    job: str
    alert: str
    #: The rules that are broken.
    rules: tuple[str, ...] = ()
    #: What the mail says about it.
    words: tuple[str, ...] = ()

    severity: str = "WARNING"

    def read(self, subject: str) -> str:
        """Return what *subject* says of it: FIRING, RESOLVED or something else."""
        rule = f" ({self.rules[0]})" if self.rules else ""
        more = f" (1 of {len(self.rules)})" if len(self.rules) > 1 else ""
        condition = CONDITION_OF[self.alert]
        if subject == f"[RESOLVED] {self.job}: {condition}{rule}{more}":
            return RESOLVED
        words = [words.partition(" ")[0] for words in self.words]
        rules = [rule.partition(" ")[0] for rule in self.rules]
        begins = (f"[{self.severity}] {self.job}: {w}" for w in (*words, *rules))
        if subject.startswith(tuple(begins)) and subject.endswith(more):
            return FIRING
        return subject


CONDITION_OF = {alert: condition for condition, alert in names.ALERT_OF.items()}

TROUBLES = [
    Trouble(
        "empty-artefact",
        names.JOB_RULE_VIOLATED,
        ("file_size_bytes > 1KiB",),
        ("file_size_bytes was 0 B, expected > 1 KiB",),
    ),
    Trouble(
        "zero-rows",
        names.JOB_RULE_VIOLATED,
        # An archive of nothing is small, too: one run, one message.
        ("file_size_bytes > 1KiB", "rows_processed > 0"),
        ("rows_processed was 0, expected > 0",),
        severity="CRITICAL",
    ),
    Trouble(
        "exits-with-1",
        names.JOB_FAILING,
        severity="CRITICAL",
        words=("failed with exit code 1", "last ok run at "),
    ),
    Trouble(
        night.TOO_SOON,
        names.JOB_RULE_VIOLATED,
        ("duration >= 10s",),
        ("duration was ", "expected >= 10s"),
    ),
    Trouble(
        "unreadable-report",
        names.JOB_FAILING,
        words=(
            "sent a report that cannot be read",
            "last ok run at ",
        ),
    ),
    Trouble(
        night.STORM,
        names.JOB_RULE_VIOLATED,
        ("rows_processed > 0",),
        ("rows_processed was 0, expected > 0",),
    ),
    Trouble(
        night.OVERRUNS,
        names.JOB_OVERRUNNING,
        words=("still running, should have finished by ",),
    ),
    Trouble(
        night.STOPS,
        names.JOB_MISSED,
        words=("no run finished by ",),
    ),
]

each_trouble = pytest.mark.parametrize(
    "trouble", TROUBLES, ids=lambda trouble: trouble.job
)


@pytest.fixture(scope="module")
def story(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Return what happened in one night; it takes two minutes."""
    home = tmp_path_factory.mktemp("main-job")
    chain = assemble(home, night.CONFIG, night.PACE)
    launch(chain.mail_server)
    launch(chain.webhook_receiver)
    launch(chain.alertmanager)
    launch(chain.prometheus)
    # Last: from now on jobs have deadlines.
    launch(chain.daemon)
    return night.play(chain, home)


def subjects(sent: Sent, job: str) -> list[str]:
    """Return the subjects of the mails about *job*."""
    return [mail.subject for mail in sent.mails_about(job)]


def told(sent: Sent, job: str) -> list[str]:
    """Return what has become of the alerts of *job*, as the webhook was told."""
    return [notification.status for notification in sent.notifications_about(job)]


@each_trouble
def test_trouble_is_told_once(story: Story, trouble: Trouble) -> None:
    """Whoever is on call gets one mail about it, and the webhook one POST."""
    sent = story.after_trouble

    assert [trouble.read(s) for s in subjects(sent, trouble.job)] == [FIRING], (
        "the inbox of whoever is on call does not show one mail about this trouble"
    )
    assert told(sent, trouble.job) == [FIRING], (
        "the webhook was not called once about this trouble"
    )
    (notification,) = sent.notifications_about(trouble.job)
    assert {alert["alertname"] for alert in notification.alerts} == {trouble.alert}, (
        "the webhook heard of another condition as well"
    )
    rules = [alert["rule"] for alert in notification.alerts if "rule" in alert]
    assert rules == [*trouble.rules], "the webhook did not hear which rules are broken"


@each_trouble
def test_a_mail_says_at_once_what_broke(story: Story, trouble: Trouble) -> None:
    """Read at 3 a.m.: which job, what is wrong with it, what to do."""
    mail = next(iter(story.after_trouble.mails_about(trouble.job)), None)

    assert mail is not None, "there is no mail to read"
    assert mail.to == "oncall@example.com", "the mail went to somebody else"
    first, *rest = mail.text.splitlines()
    assert first.startswith(trouble.job), "the text does not begin with the job"
    for words in trouble.words:
        assert words in mail.text, "the text does not say what is wrong"
    assert any(
        line.strip().endswith(f"runbook.md#{trouble.alert.lower()}") for line in rest
    ), "the text does not lead to what to do about it"
    html = unescape(mail.html).replace("\N{NO-BREAK SPACE}", " ")
    assert first in html, "the HTML says something else"


@pytest.mark.parametrize(
    ("job", "outcome"),
    [
        ("empty-artefact", "violated"),
        ("zero-rows", "violated"),
        ("exits-with-1", "fail"),
        (night.TOO_SOON, "violated"),
        ("unreadable-report", "invalid"),
        (night.STORM, "violated"),
        (night.HEALED, "violated"),
    ],
)
def test_the_script_is_told_what_was_made_of_its_report(
    story: Story, job: str, outcome: str
) -> None:
    """It could have acted on the verdict, or have put it into cron's mail."""
    assert story.broken[job].answer["outcome"] == outcome


def test_the_script_is_told_why_its_report_could_not_be_read(story: Story) -> None:
    """An empty shell variable is named as the likely cause."""
    report = story.broken["unreadable-report"]

    assert report.exit_code != 0, "cron would have thought that all is well"
    assert report.answer["status"] == 400
    assert '"rows_processed": ,' in report.answer["detail"]
    assert "is a variable of the script empty?" in report.answer["detail"]


def test_good_runs_are_no_news(story: Story) -> None:
    """Who runs well is never written about, and nobody is before something breaks."""
    outcomes = {job: report.answer["outcome"] for job, report in story.before.items()}

    assert outcomes == dict.fromkeys(night.BREAK, "ok")
    assert subjects(story.at_the_end, night.GOOD) == [], (
        "somebody was woken for nothing"
    )
    assert told(story.at_the_end, night.GOOD) == [], (
        "the webhook was called for nothing"
    )


def test_trouble_that_is_over_before_the_next_scrape_is_told(story: Story) -> None:
    """A bad run and a good one within a second: one mail that it broke, one that not."""
    sent = story.after_trouble
    trouble = Trouble(night.HEALED, names.JOB_RULE_VIOLATED, ("rows_processed > 0",))

    read = [trouble.read(subject) for subject in subjects(sent, night.HEALED)]
    assert read == [FIRING, RESOLVED]
    assert told(sent, night.HEALED) == [FIRING, RESOLVED]


def test_a_retry_storm_is_one_run(story: Story) -> None:
    """Each repeat is recognised, also after a kill -9 and after a newer run."""
    answers = [report.answer for act in story.repeats for report in act]

    assert len(answers) == 3 * night.REPEATS
    assert [answer["duplicate"] for answer in answers] == [True] * len(answers)
    assert {answer["outcome"] for answer in answers} == {"violated"}, (
        "a repeat was told something else than the first report"
    )
    assert len(subjects(story.at_the_end, night.STORM)) == 2, (
        "the storm made more noise than one mail that it broke and one that it is over"
    )


def test_killing_the_daemon_sends_nothing(story: Story) -> None:
    """Down for half a minute and back: nothing was resolved, nothing fires anew."""
    before, after = story.after_trouble, story.after_restart

    assert [m.subject for m in after.mails] == [m.subject for m in before.mails], (
        "the outage of the daemon itself was in the mail"
    )
    assert after.notifications == before.notifications, (
        "the webhook was called because the daemon was down"
    )


def test_what_ran_while_the_daemon_was_down_is_not_missed(story: Story) -> None:
    """Its reports came late, by curl's retries; each was taken, and nobody was told."""
    failed = [report for report in story.good if report.exit_code]
    outcomes = {report.answer["outcome"] for report in story.good}

    assert any("Failed to connect" in report.errors for report in story.good), (
        "no run ended during the outage: the test has missed its point"
    )
    assert failed == []
    assert outcomes == {"ok"}
    assert subjects(story.after_restart, night.GOOD) == []


@each_trouble
def test_recovery_is_told_once(story: Story, trouble: Trouble) -> None:
    """One more mail and one more POST: it is over."""
    sent = story.at_the_end

    assert [trouble.read(s) for s in subjects(sent, trouble.job)] == [
        FIRING,
        RESOLVED,
    ], "the inbox does not show one mail that it broke and one that it is over"
    assert told(sent, trouble.job) == [FIRING, RESOLVED], (
        "the webhook was not told once that it broke and once that it is over"
    )


def test_recovery_is_told_the_script(story: Story) -> None:
    """A run that took too long and came to its end is a good run as well."""
    outcomes = {job: report.answer["outcome"] for job, report in story.mended.items()}

    assert outcomes == dict.fromkeys([*night.BREAK, night.OVERRUNS], "ok")


def test_what_is_critical_is_also_in_the_channel(story: Story) -> None:
    """Slack shows the two critical jobs, and no other."""
    titles = [attachment["title"] for attachment in story.at_the_end.slack]
    critical = [trouble for trouble in TROUBLES if trouble.severity == "CRITICAL"]
    read = [[trouble.read(title) for title in titles] for trouble in critical]

    assert len(titles) == 2 * len(critical)
    for one in read:
        assert [word for word in one if word in {FIRING, RESOLVED}] == [
            FIRING,
            RESOLVED,
        ]


def test_nothing_else_is_sent(story: Story) -> None:
    """Every message is about one of the jobs in trouble, in the mail and elsewhere."""
    sent = story.at_the_end
    troubled = {*night.TROUBLED, night.HEALED}
    others = [mail.subject for mail in sent.mails if mail.job not in troubled]

    assert others == [], "somebody was woken for something else"
    assert len(sent.notifications) == len(sent.mails), (
        "mail and webhook were not told the same"
    )
