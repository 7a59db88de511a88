"""``alertmanager:`` of afterrun.yml, from text to data."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.config import load, parse
from afterrun_exporter.core.model import Condition
from afterrun_exporter.core.routing import (
    Alertmanager,
    Email,
    Grouping,
    Match,
    Receiver,
    Route,
    Slack,
    Smtp,
    TimeInterval,
    Webhook,
)
from afterrun_exporter.errors import ConfigError


def read(section: str) -> Alertmanager:
    """Return what the keys in *section* come to."""
    lines = "".join(f"  {line}\n" for line in section.splitlines())
    return parse(f"labels: [team]\nalertmanager:\n{lines}").alertmanager


@pytest.mark.parametrize("section", ["", "receivers:\nroutes:\nmute_times:\nlabels:"])
def test_nothing_is_all_defaults(section: str) -> None:
    """Sections may be empty, all of their entries being commented out."""
    assert read(section) == Alertmanager()


@pytest.mark.parametrize(
    ("section", "seconds"),
    [
        ("", 30.0),
        ("receivers: {one: [{email: a@example.com}]}\n", 30.0),
        ("push_to: []\n", 30.0),
        ("push_to: [http://localhost:9093]\n", 2.0),
        ("push_to: [http://localhost:9093]\ngroup_wait: 45s\n", 45.0),
        ("group_wait: 0s\n", 0.0),
    ],
)
def test_alerts_that_prometheus_alone_sends_are_waited_for(
    section: str, seconds: float
) -> None:
    """Longer than an evaluation and the interval between two."""
    assert read(section).grouping.group_wait == seconds


def test_every_key_finds_its_place() -> None:
    """Values alone are lists of one; words become what they mean."""
    found = read(
        """\
push_to: [http://localhost:9093/, https://am.example.com/prefix]
labels: {cluster: eu}
config_file: /etc/alertmanager/alertmanager.yml
reload_url: http://localhost:9093/-/reload
base: base.yml
smtp: {smarthost: "[::1]:25", from: a@example.com, auth_username: u}
slack_url_file: secrets/slack
receivers:
  one: [{email: a@example.com}, {slack: }, {slack: {url_file: other}}]
  two: [{webhook: {url: http://x/, authorization_file: t}}]
watchdog: two
group_by: "..."
group_wait: 0s
routes:
  - match: {severity: page, labels: {team: a, cluster: [b, c]}, alert: slow, project: p, tags: t, job: j}
    receivers: [two, discard]
    mute: nights
    repeat_interval: 1d
    continue: true
mute_times: {nights: {times: {start: 00:00, end: 06:00}, weekdays: Monday}}
"""
    )

    assert found == Alertmanager(
        push_to=("http://localhost:9093", "https://am.example.com/prefix"),
        labels=(("job", "afterrun"), ("cluster", "eu")),
        config_file="/etc/alertmanager/alertmanager.yml",
        reload_url="http://localhost:9093/-/reload",
        base="base.yml",
        smtp=Smtp(
            smarthost="[::1]:25",
            sender="a@example.com",
            require_tls=True,
            auth_username="u",
        ),
        receivers=(
            Receiver(
                "one",
                (
                    Email("a@example.com"),
                    Slack(url_file="secrets/slack"),
                    Slack(url_file="other"),
                ),
            ),
            Receiver("two", (Webhook(url="http://x/", authorization_file="t"),)),
        ),
        receiver="one",
        watchdog="two",
        grouping=Grouping(
            group_by=("...",),
            group_wait=0.0,
            group_interval=300.0,
            repeat_interval=14400.0,
        ),
        routes=(
            Route(
                match=Match(
                    severities=("page",),
                    labels=(("team", ("a",)), ("cluster", ("b", "c"))),
                    conditions=(Condition.SLOW,),
                    projects=("p",),
                    tags=("t",),
                    job="j",
                ),
                receivers=("two", "discard"),
                grouping=Grouping(repeat_interval=86400.0),
                mute=("nights",),
                continues=True,
            ),
        ),
        mute_times=(
            (
                "nights",
                (TimeInterval(times=(("00:00", "06:00"),), weekdays=("monday",)),),
            ),
        ),
    )


@pytest.mark.parametrize(
    "pattern",
    [
        *("(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(a)(?(1)b)", r"(a)\1"),
        *(
            "(?P<a>x)(?P=a)",
            "(?x)a",
            "(?#a)",
            r"a\Z",
            r"\u0041",
            "a*+",
            "a{2}+",
        ),
        *("a{,3}", "a{1001}", "[a--b]", "a\tb", "(", "[", "*"),
    ],
)
def test_expressions_that_alertmanager_reads_otherwise_are_refused(
    pattern: str,
) -> None:
    """Else Alertmanager would refuse the whole file, or tell somebody else."""
    escaped = pattern.replace("\\", "\\\\").replace("\t", "\\t")
    with pytest.raises(ConfigError, match=r"routes\[0\]\.match\.job: .*expression"):
        read(f'routes: [{{match: {{job: "{escaped}"}}, receivers: discard}}]')


def test_a_password_in_a_url_is_not_repeated() -> None:
    """The message may end in a log or a chat."""
    with pytest.raises(ConfigError) as caught:
        read(
            "push_to: ['https://user:s3cret@host', 's3cret']\n"
            "  reload_url: http://host/-/reload?token=s3cret"
        )

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("base", ["am.yml", "../etc/am.yml", "link.yml"])
def test_what_would_be_overwritten_is_no_base(tmp_path: Path, base: str) -> None:
    """By whatever name, and though neither of them is there yet."""
    path = tmp_path / "etc" / "afterrun.yml"
    path.parent.mkdir()
    (path.parent / "link.yml").symlink_to("am.yml")
    path.write_text(f"alertmanager: {{config_file: am.yml, base: {base}}}")

    with pytest.raises(ConfigError, match="base: is the same file as config_file"):
        load(path)
