"""What has come out of the chain: mails, and POSTs to the webhook."""

from __future__ import annotations

import email
import email.policy
import json
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

from afterrun_exporter.conventions import JOB

SLACK: Final = "/slack"
ALERTS: Final = "/alerts"

_ABOUT: Final = re.compile(r"\[\w+\] (\S+): \w+")


@dataclass(frozen=True, slots=True)
class Mail:
    """What a person reads."""

    to: str
    subject: str
    text: str
    html: str

    @property
    def job(self) -> str:
        """The job that it is about; "" when it is about none."""
        about = _ABOUT.match(self.subject)
        return about[1] if about else ""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a program is told by the webhook."""

    status: str
    #: The labels of each alert.
    alerts: tuple[dict[str, str], ...]

    @property
    def job(self) -> str:
        """The job that it is about; "" when it is about none."""
        return self.alerts[0].get(JOB, "")


@dataclass(frozen=True, slots=True)
class Sent:
    """All that has been sent until some moment, in the order in which it came."""

    mails: tuple[Mail, ...]
    notifications: tuple[Notification, ...]
    #: What Slack was told to show.
    slack: tuple[dict[str, Any], ...]

    def mails_about(self, job: str) -> list[Mail]:
        """Return the mails about *job*."""
        return [mail for mail in self.mails if mail.job == job]

    def notifications_about(self, job: str) -> list[Notification]:
        """Return what the webhook was told about *job*."""
        return [told for told in self.notifications if told.job == job]


def posts_in(file: Path) -> list[dict[str, Any]]:
    """Return the POSTs in the *file* of a webhook receiver: path, body and time of each.

    A line that is still being written is left out.
    """
    if not file.exists():
        return []
    lines = file.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Inbox:
    """Where the chain delivers to."""

    def __init__(self, maildir: Path, posted: Path) -> None:
        self.maildir = maildir
        self.posted = posted

    def sent(self) -> Sent:
        """Return all that has been sent until now."""
        return Sent(
            mails=tuple(self._mails()),
            notifications=tuple(
                Notification(
                    body["status"], tuple(alert["labels"] for alert in body["alerts"])
                )
                for body in self._posts(ALERTS)
            ),
            slack=tuple(body["attachments"][0] for body in self._posts(SLACK)),
        )

    def _mails(self) -> list[Mail]:
        # A mail server moves a mail to new/ when it is complete.
        files = sorted(
            (self.maildir / "new").glob("*"), key=lambda file: file.stat().st_mtime_ns
        )
        return [_mail(file.read_bytes()) for file in files]

    def _posts(self, path: str) -> list[dict[str, Any]]:
        return [post["body"] for post in posts_in(self.posted) if post["path"] == path]


def _mail(raw: bytes) -> Mail:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return Mail(
        to=str(message["To"]),
        subject=str(message["Subject"]),
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content())
