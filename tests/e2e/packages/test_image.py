"""The image, built by buildah, and the programs in it.

The base is a Debian root with its Python, in place of the image of the registry. buildah
runs programs with chroot, as there is no container engine: the limits of a container
are not tested.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.network import free_port, get, wait_for
from tests.e2e.packages.sources import ROOT, clone, git, run
from tests.e2e.processes import installed

DEBIAN_ROOT: Final = ROOT / "scripts/debian-root.sh"
BASE: Final = "localhost/afterrun-test-base"
IMAGE: Final = "localhost/afterrun-test-image"
USER: Final = "10707"

pytestmark = pytest.mark.slow


class Buildah:
    """buildah, with images and containers of its own."""

    def __init__(self, folder: Path) -> None:
        self._program = [
            installed("buildah"),
            f"--root={folder / 'storage'}",
            f"--runroot={folder / 'run'}",
            "--storage-driver=vfs",
        ]

    def __call__(self, *arguments: str | Path) -> str:
        return run(*self._program, *arguments, folder=ROOT).strip()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of buildah."""
        return subprocess.Popen([*self._program, *arguments], stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    """Buildah with the image."""
    assert os.geteuid() == 0, "building the image needs root: sudo make image-test"
    folder = Path(tempfile.mkdtemp(prefix="afterrun-image-"))
    tool = Buildah(folder)
    base = folder / "base"
    run(DEBIAN_ROOT, "make", "trixie", base, folder=ROOT)
    install = "apt-get -qq update && apt-get -qq install python3-venv >/dev/null"
    link = "ln -s python3 /usr/bin/python && apt-get clean"
    run(DEBIAN_ROOT, "run", base, "sh", "-ec", f"{install}; {link}", folder=ROOT)
    container = tool("from", "scratch")
    tool("add", "--quiet", container, base, "/")
    tool("config", "--env=PIP_CERT=/etc/ssl/certs/ca-certificates.crt", container)
    tool("commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(base)
    source = clone(folder / "source")
    tool(
        *("build", "--isolation=chroot", "--format=docker", "--pull-never"),
        f"--tag={IMAGE}",
        f"--build-arg=PYTHON={BASE}",
        f"--build-arg=REVISION={git(source, 'rev-parse', 'HEAD')}",
        "--build-arg=VERSION=7.1.0",
        source,
    )
    yield tool
    shutil.rmtree(folder)


def test_it_runs_without_root_and_has_a_health_check(buildah: Buildah) -> None:
    config = json.loads(buildah("inspect", "--type=image", IMAGE))["Docker"]["config"]

    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["afterrun"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert "/data" in config["Volumes"]


def test_the_daemon_in_it_accepts_reports_and_is_healthy(buildah: Buildah) -> None:
    config = json.loads(buildah("inspect", "--type=image", IMAGE))["Docker"]["config"]
    container = buildah("from", "--pull-never", IMAGE)
    inside = ("run", "--isolation=chroot", container, "--")
    port = free_port()
    flags = [*config["Cmd"], f"--web.listen-address=127.0.0.1:{port}"]
    daemon = buildah.start(*inside, *config["Entrypoint"], *flags)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: daemon.poll() is not None or get(f"{url}/-/ready"))
        assert daemon.poll() is None
        assert get(f"{url}/ping/nightly-backup?rows_processed=0") is not None
        metrics = (get(f"{url}/metrics") or b"").decode()
        pid = _daemon_pid(port)
        check = buildah(*inside, *config["Healthcheck"]["Test"][1:], str(pid))
        owner = Path(f"/proc/{pid}").stat().st_uid
    finally:
        os.kill(_daemon_pid(port), 15)
        daemon.wait(120)

    assert re.search(r'^afterrun_job_runs_total\{.*"nightly-backup".*\} 1$', metrics, 8)
    assert 'version="7.1.0"' in metrics
    assert owner == int(USER)
    assert "unhealthy" not in check


def test_it_lists_what_is_in_it(buildah: Buildah) -> None:
    container = buildah("from", "--pull-never", IMAGE)
    inside = ("run", "--isolation=chroot", container, "--")
    sbom = json.loads(buildah(*inside, "cat", "/opt/afterrun/sbom.cdx.json"))
    names = {one["name"] for one in sbom["components"]}

    assert sbom["bomFormat"] == "CycloneDX"
    assert {"afterrun-exporter", "aiohttp", "asyncpg", "holidays"} <= names
    assert not names & {"pip", "setuptools", "cyclonedx-bom"}


def _daemon_pid(port: int) -> int:
    """Return the number of the daemon in the container, which shares our processes."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if f"--web.listen-address=127.0.0.1:{port}" in words and "python" in words[0]:
            return int(process.name)
    pytest.fail("the daemon does not run")
