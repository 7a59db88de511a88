"""The CronJobs of examples/kubernetes run here, in images with next to nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM
from typing import Any, Final

import pytest
import yaml

import afterrun_exporter
from tests.patience import PATIENCE, PATIENT

from .client.records import only_run
from .daemon.conftest import MakeDaemon, make_daemon
from .daemon.daemon import Daemon
from .network import wait_for
from .processes import installed

__all__ = ["make_daemon"]

EXAMPLES: Final = Path(__file__).parents[2] / "examples/kubernetes"
SECRET: Final = "ar_cluster"  # noqa: S105 - of these tests


def manifest(name: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the pod, its container, and the script of the ConfigMap, if there is one."""
    objects = list(yaml.safe_load_all((EXAMPLES / name).read_text("utf-8")))
    (cron_job,) = (one for one in objects if one["kind"] == "CronJob")
    pod: dict[str, Any] = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    script = "".join(o["data"]["report"] for o in objects if o["kind"] == "ConfigMap")
    return pod, container, script


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> Daemon:
    """A daemon that runs."""
    daemon = make_daemon()
    daemon.start()
    return daemon


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of an image without a shell, with what the pod adds to it.

    A busybox that is not static has its libraries beside it. A report may take longer.
    """
    root = tmp_path / "root"
    for folder in ("tools", "scripts", "opt", "dev"):
        (root / folder).mkdir(parents=True)
    busybox = installed("busybox")
    shutil.copy(busybox, root / "tools/busybox")
    libraries = subprocess.run(
        ["ldd", busybox], capture_output=True, text=True, check=False
    ).stdout
    for path in re.findall(r"(/\S+) \(0x", libraries):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    # The shell reads it for a command in the background.
    (root / "dev/null").touch()
    text = manifest("any-image.yaml")[2]
    assert text.count("timeout 10 ") == 1
    patient = text.replace("timeout 10 ", f"timeout {PATIENCE:.0f} ")
    (root / "scripts/report").write_text(patient, "utf-8")
    return root


def start(
    root: Path, url: str, job: str, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the container of the CronJob; *job* is the script of its command."""
    _, container, _ = manifest("any-image.yaml")
    command = root / container["args"][0].lstrip("/")
    command.write_text(f"#!/tools/busybox sh\n{job}", "utf-8")
    command.chmod(0o755)
    words = [*container["command"], *container["args"]]
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.Popen(
        ["unshare", *user, f"--root={root}", "--wd=/", *words],
        env={"AFTERRUN_URL": url, "RUN_ID": "cleanup-1-x2x", **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_environment_is_that_of_the_manifest() -> None:
    _, container, _ = manifest("any-image.yaml")

    assert [one["name"] for one in container["env"]] == ["AFTERRUN_URL", "RUN_ID"]


def test_any_image_reports_its_end(daemon: Daemon, root: Path) -> None:
    process = start(root, daemon.url, '/tools/busybox echo "$@"; exit 3')
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (3, "")
    assert "--all\n" in output
    run = only_run(daemon, "cleanup")
    assert (run["outcome"], run["run_id"]) == ("fail", "cleanup-1-x2x")
    assert run["started_at"] is not None
    assert run["exit_code"] == 3


def test_the_command_ends_its_pod_and_that_is_reported(
    daemon: Daemon, root: Path
) -> None:
    job = """
        trap '/tools/busybox echo stopped; exit 0' TERM
        /tools/busybox touch /opt/ready
        while :; do /tools/busybox sleep 0.1; done
    """
    process = start(root, daemon.url, job)
    assert wait_for((root / "opt/ready").exists)
    process.send_signal(SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert "stopped\n" in output
    assert only_run(daemon, "cleanup")["outcome"] == "ok"


def test_a_token_is_sent_and_not_passed_on(make_daemon: MakeDaemon, root: Path) -> None:
    daemon = make_daemon()
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    daemon.configure(
        "auth:\n  tokens:\n"
        f"    - {{name: jobs, hash: 'sha256:{digest}', scopes: [ping]}}\n"
    )
    daemon.start()
    job = "/tools/busybox env"

    process = start(root, daemon.url, job, {"AFTERRUN_TOKEN": SECRET})
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")
    assert '"outcome":"ok"' in output.replace(" ", "")
    assert "RUN_ID=" in output
    assert SECRET not in output


def test_a_report_that_is_not_accepted_does_not_change_the_job(root: Path) -> None:
    """It is repeated; without the pauses here."""
    script = root / "scripts/report"
    text = script.read_text("utf-8")
    assert '"1 2 4 8 0"' in text
    script.write_text(text.replace('"1 2 4 8 0"', '"0 0"'), "utf-8")

    process = start(root, "http://127.0.0.1:1", "exit 5")
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 5
    assert errors.count("refused") == 3
    assert "http://127.0.0.1:1 does not accept the report" in errors


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The folder into which the init container of the image of AfterRun packs exec."""
    pod, _, _ = manifest("python-image.yaml")
    (first,) = pod["initContainers"]
    site, tools = tmp_path / "site", tmp_path / "tools"
    tools.mkdir()
    package = Path(afterrun_exporter.__file__).parent
    shutil.copytree(
        package,
        site / package.name,
        ignore=shutil.ignore_patterns("__pycache__", "*.sql", "static"),
    )
    assert first["command"] == ["python", "-c"]
    (program,) = first["args"]
    subprocess.run(
        [sys.executable, "-S", "-c", program.replace("/tools", str(tools))],
        env={"PYTHONPATH": str(site)},
        check=True,
    )
    return tools


def test_an_image_with_python_runs_exec(
    daemon: Daemon, packed: Path, tmp_path: Path
) -> None:
    """With the standard library alone (-I -S), and no directory to write to but one."""
    _, container, _ = manifest("python-image.yaml")
    python, *words = container["command"]
    assert python == "python3"
    words = [word.replace("/tools", str(packed)) for word in words]
    assert words.pop() == "--"
    spool = {one["name"]: one["value"] for one in container["env"]}["AFTERRUN_SPOOL"]

    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", *words, *PATIENT, "--"),
            *("/bin/sh", "-c", "echo afterrun: rows=7"),
        ],
        env={
            "AFTERRUN_URL": daemon.url,
            "AFTERRUN_SPOOL": spool.replace("/tools", str(packed)),
            "HOME": "/nonexistent",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert (done.returncode, done.stderr) == (0, "")
    run = only_run(daemon, "import")
    assert (run["outcome"], run["metrics"]) == ("ok", {"rows": 7.0})
