"""A machine of its own: the paths and host names that the documents show.

It is a mount and a network namespace, in which this file runs as a script. There
/opt, /srv, /etc and /usr/local can be changed without changing them outside, and the
host `afterrun` is this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHANGED = ("/opt", "/srv", "/etc", "/usr/local", "/usr/sbin", "/run")
URL = "http://afterrun:10707"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Seconds that all commands may take together, on a slow machine that is busy.
PATIENCE = 3600
#: A job, which reports metrics as the documents say.
JOB = "#!/bin/sh\necho 'afterrun: rows_processed=42'\n"


def start(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out *plan* in such a machine; return the results."""
    (folder / "plan.json").write_text(json.dumps(plan))
    flags = ["--mount", "--net"] if os.geteuid() == 0 else ["-r", "--mount", "--net"]
    command = ["unshare", *flags, sys.executable, __file__, str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def main(folder: Path) -> None:
    """Carry out the plan in *folder*."""
    plan = json.loads((folder / "plan.json").read_text())
    _isolate(folder)
    results: dict[str, Any] = {"install": [], "runs": {}}
    _provide(folder, plan)
    for step in plan["install"]:
        results["install"].append(_install(folder, step))
    daemon = _daemon(folder, plan["work"]) if plan["daemon"] else None
    try:
        for name, step in plan["runs"].items():
            results["runs"][name] = _run(folder, step)
    finally:
        if daemon is not None:
            daemon.terminate()
            daemon.wait()
            results["daemon"] = (folder / "daemon.log").read_text()
    (folder / "results.json").write_text(json.dumps(results))


def _isolate(folder: Path) -> None:
    """Make changes below some folders invisible outside, and afterrun a name of ours."""
    layers = folder / "layers"
    layers.mkdir()
    _system("mount", "-t", "tmpfs", "none", str(layers))
    for path in CHANGED:
        upper, work = (layers / f"{path[1:].replace('/', '-')}-{w}" for w in "uw")
        upper.mkdir()
        work.mkdir()
        options = f"lowerdir={path},upperdir={upper},workdir={work}"
        _system("mount", "-t", "overlay", "overlay", "-o", options, path)
    _system("ip", "link", "set", "lo", "up")
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost afterrun\n")
    # Where a container runtime has mounted a file, an overlay does not show another one.
    _system("mount", "--bind", str(hosts), "/etc/hosts")


def _provide(folder: Path, plan: dict[str, Any]) -> None:
    """Write the jobs and scripts that the snippets name."""
    for path in plan["jobs"]:
        _executable(Path(path), JOB)
    for path, text in plan["scripts"].items():
        _executable(Path(path), text)
    for path in plan["values"]:
        if not Path(path).exists():
            Path(path).write_text("42\n")
    home = folder / "home"
    home.mkdir()
    _executable(home / "backup.sh", JOB)
    tools = folder / "bin"
    tools.mkdir()
    (tools / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
    # There is no systemd, and nothing else that these would ask.
    for name in plan["absent"]:
        _executable(tools / name, "#!/bin/sh\n")
    if not (mail := Path("/usr/sbin/sendmail")).exists():
        _executable(mail, "#!/bin/sh\ncat >/dev/null\n")
    work = Path(plan["work"])
    work.mkdir(parents=True)
    for name, text in plan["files"].items():
        (work / name).write_text(text)


def _install(folder: Path, step: dict[str, Any]) -> dict[str, Any]:
    """Run one step of an installation as root, with the packages of this environment."""
    packages = sysconfig.get_path("purelib")
    environ = {
        "PATH": f"{folder / 'bin'}:{PATH}",
        "HOME": str(folder / "home"),
        "PYTHONPATH": packages,
        # There is no network: what it depends on is in the environment of the tests.
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    result = _result(["sh", "-ec", step["text"]], environ, cwd=step["cwd"])
    for site in Path("/opt/afterrun/lib").glob("python*/site-packages"):
        (site / "tests.pth").write_text(f"{packages}\n")
    return result


def _daemon(folder: Path, work: str) -> subprocess.Popen[bytes]:
    command = [
        "/usr/local/bin/afterrun",
        "serve",
        "--storage.path=afterrun.db",
        f"--web.external-url={URL}",
    ]
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, cwd=work)
    for _ in range(600):
        try:
            _get("/-/ready")
        except OSError:
            time.sleep(0.1)
        else:
            return daemon
    raise SystemExit((folder / "daemon.log").read_text())


def _run(folder: Path, step: dict[str, Any]) -> dict[str, Any]:
    """Run a command in its environment; also return the runs that were recorded of it."""
    for name, text in step.get("files", {}).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    environ = step["environ"]
    if step.get("at_a_prompt"):
        environ = {**environ, "PATH": f"{folder / 'bin'}:{PATH}"}
    result = _result(
        step["command"], environ, cwd=step["cwd"], stdin=step.get("stdin", "")
    )
    if job := step.get("job"):
        found = json.loads(_get(f"/api/v1/jobs/{job}/runs"))["runs"]
        result["outcomes"] = [run["outcome"] for run in found]
    return result


def _result(
    command: list[str], environ: dict[str, str], cwd: str, stdin: str = ""
) -> dict[str, Any]:
    done = subprocess.run(
        command,
        env=environ,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def _get(path: str) -> str:
    try:
        with urllib.request.urlopen(f"{URL}{path}", timeout=PATIENCE) as answer:  # noqa: S310
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        return '{"runs": []}' if error.code == 404 else str(error)


def _executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _system(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
