"""`afterrun doctor` with real programs: each link of the chain, broken in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterrun_exporter.core.secrets import digest
from tests.patience import PATIENCE

from . import network
from .chain import Pace, alertmanager, daemon, prometheus, prometheus_config, url
from .conftest import Launch
from .shipped import ROOT, RULES

AFTERRUN = Path(sys.executable).with_name("afterrun")
TOKENS = {scope: f"token-of-{scope}" for scope in ("read", "scrape", "admin")}

#: An alert is sent again soon.
RESEND = ["--rules.alert.resend-delay=1s"]

#: The interval of scrapes is their timeout, too.
PACE = Pace(scrape="5s")

#: The findings of the doctor, by link.
Findings = dict[str, dict[str, str]]

#: Changes prometheus.yml before Prometheus starts.
Edit = Callable[[dict[str, Any], Path], None]


@dataclass(frozen=True)
class Chain:
    """A daemon, a locked one and an Alertmanager; each test has its own Prometheus."""

    folder: Path
    daemon: int
    locked: int
    alertmanager: int
    webhook: int


@pytest.fixture(scope="module")
def chain(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    ports = [network.free_port() for _ in range(4)]
    found = Chain(folder, *ports)
    launch(daemon(folder, ROOT / "afterrun.yml", found.daemon))
    locked = folder / "locked"
    locked.mkdir()
    tokens = [
        {"name": scope, "hash": digest(token), "scopes": [scope]}
        for scope, token in TOKENS.items()
    ]
    # The same hash: `auth` does not belong to it.
    config = yaml.safe_load((ROOT / "afterrun.yml").read_text())
    (locked / "afterrun.yml").write_text(
        json.dumps({**config, "auth": {"tokens": tokens}})
    )
    launch(daemon(locked, locked / "afterrun.yml", found.locked))
    # Each test alert is notified, also if it comes soon after another.
    soon = dict.fromkeys(("group_wait", "group_interval", "repeat_interval"), "1s")
    routes = {
        "route": {"receiver": "hook", "group_by": ["alertname"], **soon},
        "receivers": [
            {
                "name": "hook",
                "webhook_configs": [{"url": f"{url(found.webhook)}/"}],
            }
        ],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))
    launch(alertmanager(folder, folder / "alertmanager.yml", found.alertmanager))
    return found


@pytest.fixture(scope="module")
def healthy(
    chain: Chain, launch: Launch, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a Prometheus with the shipped configuration."""
    folder, port = tmp_path_factory.mktemp("healthy"), network.free_port()
    file = prometheus_config(
        folder, RULES, chain.daemon, port, chain.alertmanager, PACE
    )
    launch(prometheus(folder, file, port, RESEND))
    scraped(url(port))
    return url(port)


Start = Callable[[Edit], str]


@pytest.fixture
def start(chain: Chain, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts Prometheus with an edited configuration."""
    running = []

    def run(edit: Edit) -> str:
        port = network.free_port()
        file = prometheus_config(
            tmp_path, RULES, chain.daemon, port, chain.alertmanager, PACE
        )
        config = yaml.safe_load(file.read_text())
        edit(config, tmp_path)
        file.write_text(yaml.safe_dump(config))
        process = prometheus(tmp_path, file, port, RESEND)
        running.append(process)
        process.start()
        return url(port)

    yield run
    for process in running:
        process.stop()


def doctor(
    chain: Chain,
    prometheus_url: str,
    *more: str,
    broken: Mapping[str, str],
    token: str = "",
    port: int = 0,
) -> tuple[int, Findings]:
    """Return the exit status and the findings, once these links are *broken*.

    It has a part of the detail of each. The doctor is asked again, until patience is at
    its end: on a busy machine a scrape or a request may take too long, and it says so.
    """
    answers: list[tuple[int, Findings]] = []

    def is_as_expected() -> bool:
        answers.append(ask_doctor(chain, prometheus_url, *more, token=token, port=port))
        _, findings = answers[-1]
        return failed(findings) == list(broken) and all(
            part in findings[link]["detail"] for link, part in broken.items()
        )

    network.wait_for(is_as_expected)
    return answers[-1]


def ask_doctor(
    chain: Chain, prometheus_url: str, *more: str, token: str, port: int
) -> tuple[int, Findings]:
    """Return the exit status, and the findings by link."""
    command: list[str | Path] = [
        *(AFTERRUN, "doctor", "--json", "--timeout=60s"),
        f"--url={url(port or chain.daemon)}",
        f"--prometheus={prometheus_url}",
        *more,
    ]
    environ = {"AFTERRUN_TOKEN": token, "NO_PROXY": "*"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env=environ,
    )
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert answer["ok"] == (done.returncode == 0)
    return done.returncode, {one["link"]: one for one in answer["links"]}


def failed(findings: Findings) -> list[str]:
    return [link for link, one in findings.items() if one["status"] == "failed"]


def scraped(prometheus_url: str, *, has_alertmanager: bool = True) -> None:
    """Wait until all that is configured is discovered and scraped.

    Prometheus waits for 5 seconds before it uses what it has discovered.
    """

    def data(path: str) -> dict[str, Any]:
        answer = json.loads(network.get(f"{prometheus_url}/api/v1/{path}") or b"{}")
        found: dict[str, Any] = answer.get("data", {})
        return found

    def settled() -> bool:
        active = data("targets").get("activeTargets", [])
        managers = data("alertmanagers").get("activeAlertmanagers", [])
        return (
            len(active) > 1
            and all(one["health"] != "unknown" for one in active)
            and bool(managers) == has_alertmanager
        )

    assert network.wait_for(settled)


def test_a_whole_chain_is_healthy_up_to_the_webhook(chain: Chain, healthy: str) -> None:

    code, findings = doctor(
        chain,
        healthy,
        f"--config.file={ROOT / 'afterrun.yml'}",
        f"--webhook=127.0.0.1:{chain.webhook}",
        broken={},
    )

    assert (code, failed(findings)) == (0, []), json.dumps(findings)[-1500:]
    assert {one["status"] for one in findings.values()} == {"ok"}
    assert findings["test alert in Alertmanager"]["detail"].endswith("for hook")
    assert findings["notification"]["detail"].startswith("received by the webhook")


def test_people_read_a_line_for_each_link(healthy: str) -> None:
    command: list[str | Path] = [
        *(AFTERRUN, "doctor", "--no-test-alert", f"--prometheus={healthy}"),
        f"--url={url(network.free_port())}",
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    first, way_out, *_ = done.stdout.splitlines()
    assert first.startswith("failed   daemon  ")
    assert way_out.strip().startswith(
        "-> start AfterRun, or set its address with --url"
    )
    assert done.stdout.endswith("broken\n")


def _no_scrape_job(config: dict[str, Any], _: Path) -> None:
    del config["scrape_configs"][0]


def _wrong_port(config: dict[str, Any], _: Path) -> None:
    targets = config["scrape_configs"][0]["static_configs"][0]["targets"]
    targets[:] = [f"127.0.0.1:{network.free_port()}"]


def _other_name(config: dict[str, Any], _: Path) -> None:
    config["scrape_configs"][0]["job_name"] = "backups"


def _twice(config: dict[str, Any], _: Path) -> None:
    scrape = config["scrape_configs"][0]
    config["scrape_configs"].append({**scrape, "job_name": "afterrun-again"})


def _no_rules(config: dict[str, Any], _: Path) -> None:
    config["rule_files"] = []


def _other_text(old: str, new: str) -> Edit:
    def edit(config: dict[str, Any], folder: Path) -> None:
        text = RULES.read_text()
        assert old in text
        (folder / "old.rules.yml").write_text(text.replace(old, new))
        config["rule_files"] = [str(folder / "old.rules.yml")]

    return edit


def _copied(config: dict[str, Any], folder: Path) -> None:
    (folder / "copy.rules.yml").write_text(RULES.read_text())
    config["rule_files"].append(str(folder / "copy.rules.yml"))


def _no_alertmanager(config: dict[str, Any], _: Path) -> None:
    config["alerting"] = {}


def _dead_alertmanager(config: dict[str, Any], _: Path) -> None:
    (manager,) = config["alerting"]["alertmanagers"]
    manager["static_configs"][0]["targets"] = [f"127.0.0.1:{network.free_port()}"]


HASH = RULES.read_text().partition('hash!~"|')[2].partition('"')[0]


#: Configurations of Prometheus, and the broken links: a part of the detail and the fix.
BROKEN: list[tuple[list[Edit], dict[str, tuple[str, str]]]] = [
    (
        [_no_scrape_job, _no_rules, _no_alertmanager],
        {
            "scrape": ("has no scrape job", "job_name: afterrun"),
            "alerting rules": ("none of AfterRun", "afterrun generate"),
            "Alertmanager in Prometheus": ("has no Alertmanager", "alertmanagers"),
        },
    ),
    (
        [_wrong_port, _other_text("AfterRunWatchdog", "AfterRunWatchcat")],
        {
            "scrape": ("connection refused", "correct the address"),
            "alerting rules": ("AfterRunWatchdog is missing", "afterrun generate"),
        },
    ),
    (
        [_other_name, _other_text("AfterRun is down.", "It is down.")],
        {
            "scrape": ("is named 'backups'", "name it"),
            "alerting rules": ("AfterRunExporterDown is different", "rule_files"),
        },
    ),
    (
        [_twice, _other_text("afterrun_storage_errors_total", "afterrun_errors_total")],
        {
            "scrape": ("every alert is doubled", "remove all but one"),
            "alerting rules": (
                "AfterRunStorageFailing, AfterRunReplicaStorageFailing are different",
                "rule_files",
            ),
        },
    ),
    (
        [_copied, _dead_alertmanager],
        {
            "alerting rules": ("loaded more than once", "keep one copy"),
            "Alertmanager": ("Connection refused", "--alertmanager"),
        },
    ),
    (
        [_other_text(HASH, "0123456789ab")],
        {"alerting rules": ("another configuration", "afterrun generate")},
    ),
]


@pytest.mark.parametrize(("edits", "broken"), BROKEN, ids=lambda one: str(len(one)))
def test_broken_links_are_found_with_their_ways_out(
    chain: Chain,
    start: Start,
    edits: list[Edit],
    broken: dict[str, tuple[str, str]],
) -> None:
    """And no test alert is sent along them."""

    def edit(config: dict[str, Any], folder: Path) -> None:
        for one in edits:
            one(config, folder)

    server = start(edit)
    scraped(server, has_alertmanager=_no_alertmanager not in edits)
    details = {link: detail for link, (detail, _) in broken.items()}

    code, findings = doctor(chain, server, broken=details)

    assert (code, failed(findings)) == (1, list(broken)), findings
    for link, (detail, fix) in broken.items():
        assert detail in findings[link]["detail"]
        assert fix in findings[link]["fix"]
    assert findings["test alert"]["status"] == "skipped"


def test_another_alertmanager_than_that_of_prometheus_is_found(
    chain: Chain, healthy: str
) -> None:
    other = url(network.free_port())

    broken = {"Alertmanager in Prometheus": other, "Alertmanager": ""}
    _, findings = doctor(chain, healthy, f"--alertmanager={other}", broken=broken)

    assert failed(findings) == list(broken)
    assert findings["Alertmanager in Prometheus"]["detail"].endswith(f"not to {other}")


def test_without_prometheus_what_is_behind_it_is_not_checked(chain: Chain) -> None:
    _, findings = doctor(chain, url(network.free_port()), broken={"Prometheus": ""})

    assert failed(findings) == ["Prometheus"]
    assert findings["Alertmanager in Prometheus"]["status"] == "skipped"


def _locked(chain: Chain, credentials: str) -> Edit:
    def edit(config: dict[str, Any], _: Path) -> None:
        scrape = config["scrape_configs"][0]
        scrape["static_configs"][0]["targets"] = [f"127.0.0.1:{chain.locked}"]
        if credentials:
            scrape["authorization"] = {"credentials": credentials}

    return edit


def test_a_token_that_is_missing_is_found(chain: Chain, start: Start) -> None:
    """Both ours and that of Prometheus."""
    server = start(_locked(chain, ""))
    scraped(server)

    broken = {"token": "", "scrape": "401"}
    _, findings = doctor(chain, server, port=chain.locked, broken=broken)

    assert failed(findings) == list(broken)
    assert "AFTERRUN_TOKEN or --token-file" in findings["token"]["fix"]
    assert "401" in findings["scrape"]["detail"]
    assert "a token of scope scrape" in findings["scrape"]["fix"]


def test_a_token_that_may_only_read_opens_no_test_alert(
    chain: Chain, start: Start
) -> None:
    server = start(_locked(chain, TOKENS["scrape"]))
    scraped(server)

    broken, token = {"test alert": "lacks scope"}, TOKENS["read"]
    _, findings = doctor(chain, server, broken=broken, token=token, port=chain.locked)

    assert failed(findings) == list(broken)
    assert "lacks scope" in findings["test alert"]["detail"]
    assert "scope admin" in findings["test alert"]["fix"]


def _send(method: str, address: str, body: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310
        address,
        json.dumps(body).encode() if body else None,
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        text = answer.read()
        return json.loads(text) if text else None


def test_a_silence_is_found(chain: Chain, healthy: str) -> None:
    matcher = {"name": "alertname", "value": "AfterRunTest", "isRegex": False}
    silence = {
        "matchers": [{**matcher, "isEqual": True}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "test",
        "comment": "test",
    }
    api = f"{url(chain.alertmanager)}/api/v2"
    created = _send("POST", f"{api}/silences", silence)["silenceID"]
    broken = {"test alert in Alertmanager": "silenced by"}
    try:
        _, findings = doctor(chain, healthy, broken=broken)
    finally:
        _send("DELETE", f"{api}/silence/{created}", None)

    assert failed(findings) == list(broken)
    assert "silenced by" in findings["test alert in Alertmanager"]["detail"]


def test_a_webhook_that_is_not_routed_is_found(chain: Chain, healthy: str) -> None:
    port = network.free_port()

    options = (f"--webhook=127.0.0.1:{port}", "--timeout=40s")
    _, findings = doctor(chain, healthy, *options, broken={"notification": ""})

    assert failed(findings) == ["notification"]
    assert f"url: http://127.0.0.1:{port}/" in findings["notification"]["fix"]
