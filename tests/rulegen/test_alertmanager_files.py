"""What `afterrun generate alertmanager` makes of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterrun_exporter.config import Config, parse
from afterrun_exporter.core import receiver_targets
from afterrun_exporter.core.model import Job
from afterrun_exporter.core.routing import (
    Alertmanager,
    JobReceiver,
    Match,
    Receiver,
    ReceiverType,
    Route,
    Webhook,
)
from afterrun_exporter.errors import GenerateError
from afterrun_exporter.rulegen import alertmanager, base_inhibitions, render

from .amtools import RECEIVERS, data, files, findings, rich
from .conftest import Run

BASE = """\
global:
  resolve_timeout: 10m
  smtp_smarthost: old.example.com:25
  smtp_from: old@example.com
  smtp_auth_username: old
  smtp_auth_password_file: /etc/alertmanager/password
  slack_api_url_file: /etc/alertmanager/slack
templates: []
route:
  receiver: old
  group_by: [job]
  group_wait: 45s
  routes:
    - matchers: [severity = critical]
      receiver: infra
      active_time_intervals: [office]
inhibit_rules:
  - source_matchers: [severity = critical]
    target_matchers: [severity = warning]
    equal: [alertname, instance]
receivers:
  - name: old
    email_configs: [{to: old@example.com}]
  - name: infra
    slack_configs: [{channel: '#infra'}]
time_intervals:
  - name: office
    time_intervals: [{times: [{start_time: 08:30, end_time: 22:30}], days_of_month: [1:5]}]
"""
MERGED = """\
jobs: {backup: {severity: critical}}
alertmanager:
  base: base.yml
  receivers:
    oncall: [{email: oncall@example.com}, {slack: {channel: "#alerts"}}]
  routes: [{match: {severity: critical}, receivers: oncall, mute: nights}]
  mute_times: {nights: {times: {start: 00:00, end: 06:00}}}
"""


@pytest.fixture
def base(tmp_path: Path) -> Any:
    """Return a configuration that somebody has had for years."""
    path = tmp_path / "base.yml"
    path.write_text(BASE)
    return render.read_yaml(path)


def one(config: str) -> Config:
    """Return a configuration of which only ``alertmanager:`` matters."""
    return parse(f"alertmanager:\n{config}")


def by_name(config: Any) -> dict[str, Any]:
    """Return the receivers of alertmanager.yml by their names."""
    return {receiver["name"]: receiver for receiver in config["receivers"]}


def test_without_a_word_about_it_there_is_something_to_start_from(
    run: Run, tmp_path: Path
) -> None:
    """It loads, tells nobody, and says so where its reader looks first."""
    config = parse("jobs: {backup: {}}")

    head = files(config)[alertmanager.CONFIG]

    for text in ("{}", "alertmanager:"):
        assert files(parse(text))[alertmanager.CONFIG] == head
    assert findings(run, tmp_path, config) == []
    assert data(config)["route"]["receiver"] == "discard"
    assert "afterrun.yml has no alertmanager.receivers" in head.splitlines()[2]


@pytest.mark.thorough
@pytest.mark.parametrize("receivers", [(), RECEIVERS], ids=["", "with receivers"])
def test_amtool_and_amlint_find_nothing(
    run: Run, root: Path, tmp_path: Path, receivers: tuple[JobReceiver, ...]
) -> None:
    """Whatever keys are used."""
    assert findings(run, tmp_path, rich(root), receivers) == []


def test_amtool_and_amlint_find_nothing_in_what_is_shipped(
    run: Run, root: Path, tmp_path: Path
) -> None:
    """It is what people start from."""
    assert findings(run, tmp_path, parse((root / "afterrun.yml").read_text())) == []


def test_what_is_shipped_is_what_is_generated(root: Path) -> None:
    """`afterrun generate` brings it up to date."""
    made = files(parse((root / "afterrun.yml").read_text()))

    assert render.diff(made, root) == ""


def test_amtool_and_amlint_find_nothing_beside_another_configuration(
    run: Run, tmp_path: Path, base: Any
) -> None:
    """What was there and what is ours are one configuration."""
    assert findings(run, tmp_path, parse(MERGED), RECEIVERS, base) == []


def test_the_same_configuration_gives_the_same_bytes(root: Path) -> None:
    """In whatever order the database tells of its receivers."""
    config = rich(root)

    assert files(config, RECEIVERS) == files(config, RECEIVERS[::-1])


def test_no_secret_is_in_what_everybody_may_read(root: Path) -> None:
    """Slack's and Discord's addresses are secrets: who knows one can write there."""
    made = dict(files(rich(root), RECEIVERS))
    secrets = {
        path: made.pop(path) for path in list(made) if path.parent.name == "secrets"
    }

    assert secrets == {
        Path("alertmanager/secrets/receiver-5"): (
            "https://hooks.slack.com/services/slack-token\n"
        ),
        # Discord understands Slack's messages there.
        Path("alertmanager/secrets/receiver-7"): (
            "https://discord.com/api/webhooks/1/discord-token/slack\n"
        ),
    }
    rest = "".join(made.values())
    assert "slack-token" not in rest
    assert "discord-token" not in rest


@pytest.mark.parametrize(
    ("config_file", "expected"),
    [
        # Alertmanager takes it from the directory that it was started in.
        ("", "secrets/slack"),
        ("alertmanager/alertmanager.yml", "secrets/slack"),
        ("/etc/alertmanager/am.yml", "/etc/alertmanager/secrets/slack"),
    ],
)
def test_files_beside_the_configuration_are_found(
    config_file: str, expected: str
) -> None:
    """Once it is known where that is."""
    where = f"  config_file: {config_file}\n" if config_file else ""
    config = one(f"{where}  receivers: {{a: [{{slack: {{url_file: secrets/slack}}}}]}}")

    (slack,) = by_name(data(config))["a"]["slack_configs"]

    assert slack["api_url_file"] == expected


def test_resolved_is_told_by_every_way(root: Path) -> None:
    """E-mail is quiet about the end unless asked. What ended well does not end again."""
    made = by_name(data(rich(root), RECEIVERS)).values()
    ways = [
        (r["name"].endswith("-success"), way["send_resolved"])
        for r in made
        for key, ways in r.items()
        if key != "name"
        for way in ways
    ]

    assert len(ways) > 8
    assert set(ways) == {(False, True), (True, False)}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # cron's own way, and the default.
        ("  receivers: {a: [{email: a@example.com}]}", ("localhost:25", False)),
        (
            "  smtp: {smarthost: mail:587}\n  receivers: {a: [{email: a@example.com}]}",
            ("mail:587", True),
        ),
        ("  receivers: {a: [{webhook: {url: http://a/}}]}", (None, None)),
    ],
)
def test_mail_goes_by_the_server_that_is_named(
    config: str, expected: tuple[str | None, bool | None]
) -> None:
    """Or by the one on this host, when somebody is to get mail at all."""
    everywhere = data(one(config))["global"]

    assert (
        everywhere.get("smtp_smarthost"),
        everywhere.get("smtp_require_tls"),
    ) == expected


def test_another_configuration_stays_what_it_was(base: Any) -> None:
    """Its globals, its routes, its receivers, its times; ours come beside them."""
    merged = data(parse(MERGED), base=base)

    assert merged["global"] == base["global"]
    first, *others = merged["route"].pop("routes")
    theirs = base["route"].pop("routes")
    assert merged["route"] == base["route"]
    assert others == theirs
    assert first["matchers"] == ['alertname =~ "AfterRun.+"']
    assert [r["name"] for r in merged["receivers"]] == [
        "old",
        "infra",
        "discard",
        "oncall",
    ]
    assert merged["receivers"][:2] == base["receivers"]
    (theirs,) = base["inhibit_rules"]
    assert merged["inhibit_rules"][0] == base_inhibitions.excluding_ours(theirs)
    assert len(merged["inhibit_rules"]) == 7
    names = [interval["name"] for interval in merged["time_intervals"]]
    assert names == ["office", "nights"]
    # Not 1350 and 65, for which YAML of old takes them.
    office = merged["time_intervals"][0]["time_intervals"][0]
    assert office["times"][0]["end_time"] == "22:30"
    assert office["days_of_month"] == ["1:5"]


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=NodeDown", "severity=critical"], "infra"),
        (["alertname=NodeDown"], "old"),
        (["alertname=AfterRunJobMissed", "severity=critical"], "oncall"),
        (["alertname=AfterRunJobMissed", "severity=warning"], "oncall"),
        (["alertname=AfterRunJobUpstreamUnhealthy", "severity=none"], "discard"),
    ],
)
def test_each_alert_goes_where_it_belongs(
    run: Run, tmp_path: Path, base: Any, labels: list[str], receiver: str
) -> None:
    """Theirs where they always went, and ours where afterrun.yml says."""
    render.write(files(parse(MERGED), base=base), tmp_path)

    result = run(
        *("amtool", "config", "routes", "test"),
        f"--config.file={tmp_path / alertmanager.CONFIG}",
        f"--verify.receivers={receiver}",
        *labels,
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_our_mail_server_stands_beside_theirs(base: Any) -> None:
    """Theirs takes their mails, ours takes ours."""
    smtp = "smtp: {smarthost: ours:25, auth_username: us}"
    config = parse(MERGED.replace("  base:", f"  {smtp}\n  base:"))

    merged = data(config, base=base)

    assert merged["global"] == base["global"]
    (mail,) = by_name(merged)["oncall"]["email_configs"]
    assert (mail["smarthost"], mail["auth_username"]) == ("ours:25", "us")


def test_a_base_without_a_mail_server_needs_none(base: Any) -> None:
    """Our mails bring their own, and theirs gain nothing that they did not have."""
    base["global"] = {"slack_api_url_file": "/etc/alertmanager/slack"}

    merged = data(parse(MERGED), base=base)

    assert "smtp_smarthost" not in merged["global"]
    (mail,) = by_name(merged)["oncall"]["email_configs"]
    assert mail["smarthost"] == "localhost:25"


def test_a_receiver_of_theirs_that_tells_nobody_serves_us_too(base: Any) -> None:
    """The name is taken, and for what we would have used it."""
    base["receivers"].append({"name": "discard"})

    merged = data(parse(MERGED), base=base)

    assert [r["name"] for r in merged["receivers"]].count("discard") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"receivers": [{"name": "oncall"}, {"name": "old"}]},
            (
                "receiver 'oncall' is in alertmanager: of afterrun.yml and in its base "
                "'base.yml': rename one of the two"
            ),
        ),
        (
            {"receivers": [{"name": "discard", "webhook_configs": []}]},
            (
                "receiver 'discard' is in alertmanager: of afterrun.yml and in its base "
                "'base.yml': rename one of the two"
            ),
        ),
        (
            {"mute_time_intervals": [{"name": "nights"}]},
            (
                "time interval 'nights' is in alertmanager: of afterrun.yml and in its "
                "base 'base.yml': rename one of the two"
            ),
        ),
        (
            {"route": None},
            "'base.yml' has no route with a receiver: is it an alertmanager.yml?",
        ),
        ({"route": []}, "route of 'base.yml' is not keys and values"),
        ({"receivers": {}}, "receivers of 'base.yml' is not a list"),
        ({"receivers": ["a"]}, "receivers of 'base.yml' has an entry without a name"),
        *(
            (
                {key: [{"name": name}]},
                f"{key} of 'base.yml' has an entry without a name",
            )
            for key in ("receivers", "mute_time_intervals")
            for name in (["a"], {"a": 1}, None)
        ),
        (
            {"global": {}},
            (
                "global of 'base.yml' has no slack_api_url_file: set "
                "alertmanager.slack_url_file"
            ),
        ),
    ],
)
def test_what_cannot_be_one_configuration_is_refused(
    base: Any, change: dict[str, Any], message: str
) -> None:
    """With the names of both files, before anything is written."""
    with pytest.raises(GenerateError) as caught:
        files(parse(MERGED), base={**base, **change})

    assert str(caught.value) == message


def test_a_password_is_not_shown_to_another_server(base: Any) -> None:
    """Alertmanager would fill in theirs where we say nothing."""
    text = MERGED.replace("  base:", "  smtp: {smarthost: ours:25}\n  base:")

    with pytest.raises(GenerateError, match="smtp_auth_username"):
        files(parse(text), base=base)


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", None])
def test_a_base_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    """Not there, not YAML, or something else."""
    path = tmp_path / "base.yml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(GenerateError, match=str(path)):
        render.read_yaml(path)


@pytest.mark.thorough
def test_ten_thousand_jobs_need_no_more_routes_than_ten(
    run: Run, tmp_path: Path
) -> None:
    """One tag of all of them: the same routes, each name written once at most a route."""
    few, many = (_one_tag_of_all(number) for number in (10, 10_000))

    render.write(many, tmp_path)
    checked = run("amtool", "check-config", tmp_path / alertmanager.CONFIG)

    assert checked.returncode == 0, checked.stderr
    routes, fewest = (
        _count_routes(yaml.safe_load(texts[alertmanager.CONFIG])["route"])
        for texts in (many, few)
    )
    assert routes == fewest
    written = len(many[alertmanager.CONFIG])
    assert written < 4 * 10_000 * len("team-39.nightly-backup-9999|")


def _one_tag_of_all(count: int) -> Mapping[Path, str]:
    jobs = {
        name: Job(name=name, tags=("all",), project=f"p{number % 5}")
        for number in range(count)
        for name in [f"team-{number % 40}.nightly-backup-{number}"]
    }
    settings = Alertmanager(
        receivers=(Receiver("a", (Webhook(url="http://127.0.0.1:9/"),)),),
        receiver="a",
        routes=tuple(
            Route(match=match, receivers=("a",))
            for match in (Match(tags=("all",), projects=("p1",)), Match(tags=("all",)))
        ),
    )
    receivers = [
        JobReceiver(
            id=1, job=name, type=ReceiverType.WEBHOOK, target="http://localhost/"
        )
        for name in list(jobs)[:1]
    ]
    return alertmanager.files(jobs, ["team"], settings, receivers)


def _count_routes(route: dict[str, Any]) -> int:
    return 1 + sum(map(_count_routes, route.get("routes", ())))


def _is_plain(entry: tuple[ReceiverType, str]) -> bool:
    try:
        receiver_targets.check_target(*entry)
    except ValueError:
        return False
    return receiver_targets.is_plain(*entry)


@pytest.mark.thorough
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just(ReceiverType.WEBHOOK),
                st.from_regex(receiver_targets._PLAIN_URL, fullmatch=True),
            ),
            st.tuples(
                st.just(ReceiverType.EMAIL),
                st.from_regex(receiver_targets._MAIL, fullmatch=True),
            ),
            st.tuples(
                st.sampled_from([ReceiverType.SLACK, ReceiverType.DISCORD]),
                st.sampled_from(["https://[::1]:1/%zz", "http://a.example/'&(*"]),
            ),
        ).filter(_is_plain),
        min_size=30,
        max_size=60,
    )
)
def test_alertmanager_refuses_no_plain_target(
    run: Run, tmp_path: Path, entries: list[tuple[ReceiverType, str]]
) -> None:
    """The daemon adds receivers with such targets before Alertmanager has loaded them."""
    receivers = [
        JobReceiver(id=number, job="backup", type=type_, target=target)
        for number, (type_, target) in enumerate(entries, 1)
    ]
    config = parse("jobs: {backup: {}}")

    path = tmp_path / "alertmanager.yml"
    path.write_text(files(config, receivers)[alertmanager.CONFIG])
    checked = run("amtool", "check-config", path)

    assert (checked.returncode, checked.stderr) == (0, "")
