"""A key that a file has twice is refused with both places, in every file that is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from afterrun_exporter.cli.managed_config import load_with_base
from afterrun_exporter.config import parse, read
from afterrun_exporter.config.web_loading import load_web
from afterrun_exporter.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "place", "first"),
    [
        ("jobs: {}\njobs: {}\n", "2: jobs", 1),
        ("defaults:\n  grace: 5m\n  grace: 6m\n", "3: defaults.grace", 2),
        ("jobs:\n  a: {}\n  'a': {}\n", "3: jobs.a", 2),
        (
            "jobs:\n  a:\n    alerts: {after_failures: 2,\n      after_failures: 3}\n",
            "4: jobs.a.alerts.after_failures",
            3,
        ),
        (
            "policies:\n- match: {name: a}\n  grace: 1m\n  grace: 2m\n",
            "4: policies[0].grace",
            3,
        ),
        (
            "policies:\n- match: {name: a,\n    name: b}\n  grace: 1m\n",
            "3: policies[0].match.name",
            2,
        ),
        (
            "alertmanager:\n  receivers:\n    a: [{email: a@b.c}]\n    a: [{email: d@b.c}]\n",
            "4: alertmanager.receivers.a",
            3,
        ),
    ],
)
def test_in_afterrun_yml(text: str, place: str, first: int) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)

    message = f"afterrun.yml:{place}: duplicate key, first on line {first}"
    assert message in str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("text", "place", "first"),
    [
        ("basic_auth_users: {}\nbasic_auth_users: {}\n", "2: basic_auth_users", 1),
        (
            "basic_auth_users:\n  a: x\n  a: y\n",
            "3: basic_auth_users.a",
            2,
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-Frame-Options: deny\n",
            "4: http_server_config.headers.X-Frame-Options",
            3,
        ),
    ],
)
def test_in_a_web_configuration(
    tmp_path: Path, text: str, place: str, first: int
) -> None:
    path = tmp_path / "web.yml"
    path.write_text(text)

    with pytest.raises(ConfigError) as refused:
        load_web(path)

    message = f"{path}:{place}: duplicate key, first on line {first}"
    assert message in str(refused.value).splitlines()


def test_in_the_base_of_alertmanager_yml(tmp_path: Path) -> None:
    path = tmp_path / "afterrun.yml"
    path.write_text("jobs: {}\nalertmanager:\n  base: base.yml\n")
    base = "route: {receiver: a}\nreceivers: [{name: a}]\n"
    (tmp_path / "base.yml").write_text(f"{base}inhibit_rules: []\ninhibit_rules: []\n")

    with pytest.raises(ConfigError) as refused:
        load_with_base(read(path))

    assert str(refused.value) == (
        f"{path}:3: alertmanager.base: base.yml:4: 'inhibit_rules' is a duplicate key, "
        "first on line 3"
    )
