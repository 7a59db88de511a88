"""The compose files: what they name exists, and fits together."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from afterrun_exporter.cli.group import afterrun
from afterrun_exporter.conventions import DEFAULT_PORT
from tests.e2e.processes import installed

ROOT: Final = Path(__file__).parents[1]
NAMES: Final = ("docker-compose.yml", "docker-compose.postgres.yml")
BALANCER: Final = ROOT / "deploy/haproxy.cfg"


def load(name: str) -> dict[str, Any]:
    """Return a compose file, with the services that it extends."""
    data: dict[str, Any] = yaml.safe_load((ROOT / name).read_text("utf-8"))
    for service, settings in data["services"].items():
        if extended := settings.pop("extends", None):
            base = load(extended["file"])["services"][extended["service"]]
            # Compose does not extend services that depend on others.
            assert "depends_on" not in base, service
            settings.update({**base, **settings})
    return data


every_file = pytest.mark.parametrize("data", [load(name) for name in NAMES], ids=NAMES)


def mounts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the sources and targets of the volumes of a service."""
    pairs = (one.split(":") for one in settings.get("volumes", ()))
    return [(source, target) for source, target, *_ in pairs]


@every_file
def test_every_mounted_file_exists_and_every_volume_is_declared(
    data: dict[str, Any],
) -> None:
    for settings in data["services"].values():
        for source, _ in mounts(settings):
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                assert source in data["volumes"]


@every_file
def test_data_survives_the_container(data: dict[str, Any]) -> None:
    used = {s for one in data["services"].values() for s, _ in mounts(one)}

    assert data["volumes"].keys() <= used


@every_file
def test_services_wait_only_for_services_that_say_when_they_are_ready(
    data: dict[str, Any],
) -> None:
    services = data["services"]
    for settings in services.values():
        awaited = settings.get("depends_on", {})
        assert set(awaited) <= services.keys()
        for name in awaited if isinstance(awaited, dict) else ():
            # The image of AfterRun has a health check of its own.
            own = services[name]["image"] == "afterrun-exporter"
            assert own or "healthcheck" in services[name], name


@every_file
def test_ports_are_open_to_this_machine_only(data: dict[str, Any]) -> None:
    ports = [port for one in data["services"].values() for port in one.get("ports", ())]

    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)


@every_file
def test_images_have_a_version(data: dict[str, Any]) -> None:
    for settings in data["services"].values():
        image = settings["image"]
        assert image == "afterrun-exporter" or re.search(r":v?\d", image), image


@every_file
def test_secrets_are_files_that_are_not_in_the_repository(data: dict[str, Any]) -> None:
    secrets = data.get("secrets", {})
    used = {
        name for one in data["services"].values() for name in one.get("secrets", ())
    }
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()

    assert used == secrets.keys()
    for secret in secrets.values():
        assert secret["file"].startswith("./secrets/")
        assert "/secrets/" in ignored


@every_file
def test_no_password_is_written_into_the_file(data: dict[str, Any]) -> None:
    text = str(
        {name: one for name, one in data["services"].items() if name != "grafana"}
    )

    assert not re.search(r"://\w+:[^@/]+@", text)
    assert set(re.findall(r"\w*PASSWORD\w*", text)) <= {"POSTGRES_PASSWORD_FILE"}


def replicas() -> dict[str, Any]:
    services = load("docker-compose.postgres.yml")["services"]
    return {n: s for n, s in services.items() if s["image"] == "afterrun-exporter"}


def test_all_replicas_are_alike() -> None:
    """Another configuration, or another database, would be a mistake."""
    first, *others = (
        {k: v for k, v in one.items() if k not in {"build", "hostname"}}
        for one in replicas().values()
    )

    assert others == [first]
    assert [one["hostname"] for one in replicas().values()] == [*replicas()]


def test_the_image_is_built_once() -> None:
    assert [*(n for n, one in replicas().items() if "build" in one)] == ["afterrun-1"]


def test_replicas_are_started_with_options_that_exist() -> None:
    name, *arguments = replicas()["afterrun-1"]["command"]
    command = afterrun.get_command(click.Context(afterrun), name)
    assert command is not None
    options = {option for one in command.params for option in one.opts}

    assert {argument.partition("=")[0] for argument in arguments} <= options


def test_the_image_can_use_postgresql() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (extras,) = re.findall(r"pip install .*\.\[(.*)\]", dockerfile)

    assert "postgres" in extras.split(",")


def test_prometheus_scrapes_each_replica_and_not_the_balancer() -> None:
    path = ROOT / "prometheus/prometheus.postgres.yml"
    (scrape, *_) = yaml.safe_load(path.read_text("utf-8"))["scrape_configs"]
    (group,) = scrape["static_configs"]

    assert group["targets"] == [f"{name}:{DEFAULT_PORT}" for name in replicas()]


def test_the_balancer_knows_each_replica() -> None:
    text = BALANCER.read_text("utf-8")
    servers = re.findall(r"^    server (\S+) (\S+) ", text, re.MULTILINE)

    assert servers == [(name, f"{name}:{DEFAULT_PORT}") for name in replicas()]


def test_haproxy_accepts_the_configuration_of_the_balancer() -> None:
    """It cannot resolve the names here, which is a warning."""
    found = Path("/usr/sbin/haproxy")
    program = found if found.exists() else installed("haproxy")
    done = subprocess.run(
        [program, "-c", "-f", BALANCER], capture_output=True, text=True, check=False
    )
    warnings = re.findall(r"\[(?:WARNING|ALERT)\] .*", done.stderr)

    assert done.returncode == 0, done.stderr
    assert [one for one in warnings if "could not resolve address" not in one] == []
