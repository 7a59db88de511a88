"""The line for crontab that mails a report, with a mail program and a mail server."""

from __future__ import annotations

import email
import email.policy
import re
import shutil
import subprocess
import sys
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from afterrun_exporter.clock import SystemClock
from afterrun_exporter.core.daily_figures import DAY
from afterrun_exporter.core.timestamps import format_time
from tests.e2e import network
from tests.e2e.conftest import Launch
from tests.e2e.daemon.daemon import AFTERRUN, Daemon
from tests.e2e.pasted.crontab import entry
from tests.e2e.processes import Process
from tests.patience import PATIENCE

DOCUMENT: Final = Path(__file__).parents[3] / "docs/period-reports.md"
#: Characters of a line in a mail (RFC 5321).
LONGEST_LINE: Final = 998
REPORT: Final = "/var/tmp/jobs.html"  # noqa: S108 - of the document, not of the tests


class Machine:
    """A home with a mail program that knows its server."""

    def __init__(self, folder: Path, launch: Launch) -> None:
        self.home = folder
        self._maildir = folder / "mails"
        port = network.free_port()
        command: list[str | Path] = [
            *(sys.executable, "-m", "aiosmtpd", "--nosetuid"),
            *("--listen", f"{network.LOOPBACK}:{port}"),
            *("--class", "aiosmtpd.handlers.Mailbox", self._maildir),
        ]
        listens = partial(network.listens, port)
        launch(Process("smtp", command, folder / "smtp.log", listens))
        (folder / ".msmtprc").write_text(
            f"account default\nhost {network.LOOPBACK}\nport {port}\n"
            "from cron@example.com\n"
        )

    def run(self, url: str) -> subprocess.CompletedProcess[str]:
        """Run the documented line as cron does, with the daemon at *url*."""
        (block,) = re.findall(
            r"```crontab\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL
        )
        documented = entry(block, str(self.home))
        command = documented.command
        for path, instead in (
            ("/usr/local/bin/afterrun", AFTERRUN),
            # msmtp understands the options of sendmail.
            ("/usr/sbin/sendmail", shutil.which("msmtp")),
            (REPORT, self.home / "jobs.html"),
        ):
            assert path in command
            command = command.replace(path, str(instead))
        environ = {**documented.environ, "AFTERRUN_URL": url}
        return subprocess.run(
            [
                "env",
                "-i",
                *(f"{k}={v}" for k, v in environ.items()),
                "sh",
                "-c",
                command,
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def mails(self) -> list[EmailMessage]:
        """Return the mails that the server has accepted."""
        return [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in (self._maildir / "new").glob("*")
        ]


@pytest.fixture
def machine(tmp_path: Path, launch: Launch) -> Machine:
    """A machine with cron's environment."""
    folder = tmp_path / "home"
    folder.mkdir()
    return Machine(folder, launch)


def test_the_mail_has_the_report_as_it_was_written(
    daemon: Daemon, machine: Machine
) -> None:
    """Also its long lines, which mail servers refuse, and letters beyond ASCII."""
    daemon.start()
    for day in range(1, 14):
        ended = format_time(SystemClock().now() - day * DAY)
        for n in range(2):
            status = "ok" if n % 2 else "fail"
            report = {"status": status, "ended_at": ended, "run_id": f"{day}"}
            daemon.post(f"/ping/nightly-{n}", report)

    result = machine.run(daemon.url)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    (mail,) = machine.mails()
    assert (mail["To"], mail["Subject"]) == ("ops@example.com", "Jobs last week")
    assert mail.get_content_type() == "text/html"
    html = (machine.home / "jobs.html").read_text("utf-8")
    assert mail.get_content().strip() == html.strip()
    assert "nightly-1" in html
    assert max(map(len, html.splitlines())) > LONGEST_LINE


def test_there_is_no_mail_without_a_report(machine: Machine) -> None:
    """Cron mails the reason, which is on the standard error."""
    result = machine.run(f"http://{network.LOOPBACK}:{network.free_port()}")

    assert result.returncode != 0
    assert "no response" in result.stderr
    assert machine.mails() == []
