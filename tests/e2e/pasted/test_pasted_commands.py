"""Commands run as they are shown, where people paste them: cron, systemd, containers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import machine
from .crontab import entry
from .snippets import (
    NOT_RUN,
    ROOT,
    RUN,
    SHELL_NOT_RUN,
    Snippet,
    blocks,
    containers,
    crontabs,
    page_crontabs,
    scripts,
    shell_commands,
    units,
)

HOME = "/opt/home"
WORK = "/opt/work"
#: Programs of an operator that find nothing here: they succeed, and say nothing.
ABSENT = [
    *("systemctl", "journalctl", "timedatectl", "chronyc", "sudo", "amtool", "git"),
    *("docker", "ps"),
]
#: Complaints about programs that do not run here.
OTHERS = re.compile(r".*(port 909[03]|localhost:909[03]|example\.org).*")
SYSTEMD = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "INVOCATION_ID": "0123456789abcdef0123456789abcdef",
    "SERVICE_RESULT": "success",
}
UNITS = "/etc/systemd/system"
SHELLS = {"busybox": ["busybox", "sh"], "dash": ["dash"]}

CRON = [*crontabs(), *page_crontabs(machine.URL)]
#: The installation of README, and the ones of docs/operations.md.
README_STEPS = next(
    block.text for block in blocks("sh") if "pip install ." in block.text
)
INSTALLATIONS = [
    line.split("#")[0].strip()
    for block in blocks("sh")
    if block.path.name == "operations.md"
    for line in block.text.splitlines()
    if "bin/pip install" in line
]

Results = dict[str, Any]


def job_of(text: str) -> str:
    """Return the job that *text* reports."""
    match = re.search(r"afterrun exec ([\w-]+)|/ping/([\w-]+)", text)
    return (match[1] or match[2]) if match else ""


def cron_step(snippet: Snippet) -> dict[str, Any]:
    """Return the run of a line of a crontab."""
    line = entry(snippet.text, HOME)
    # The one address that a reader replaces.
    command = line.command.replace("localhost:10707", "afterrun:10707")
    return {
        "command": [line.environ["SHELL"], "-c", command],
        "environ": {"AFTERRUN_URL": machine.URL, **line.environ},
        "stdin": line.stdin,
        "cwd": HOME,
        "job": job_of(command),
    }


def unit_file(unit: Snippet) -> str:
    """Return the path of *unit*; a part of a unit is one of the service of the daemon."""
    if unit.path.suffix == ".service":
        return f"{UNITS}/{unit.path.name}"
    # A part may replace the command: the empty value removes the one before.
    if "ExecStart=" not in unit.text or "ExecStart=\n" in unit.text:
        return f"{UNITS}/afterrun.service.d/override.conf"
    return f"{UNITS}/{Path(unit.file).name}"


def unit_steps(unit: Snippet) -> dict[str, dict[str, Any]]:
    """Return the check of a unit, and the run of its commands."""
    file, common = unit_file(unit), {"environ": SYSTEMD, "cwd": "/"}
    name = file.removeprefix(f"{UNITS}/").split(".d/")[0]
    steps = {
        f"verify {unit.where}": {
            "command": ["systemd-analyze", "verify", f"{UNITS}/{name}"],
            "files": {file: unit.text},
            **common,
        }
    }
    if "Type=oneshot" in unit.text:
        set_ = re.findall(r"^Environment=(\w+)=(.*)$", unit.text, re.MULTILINE)
        lines = re.findall(r"^Exec\w+=(.*)$", unit.text, re.MULTILINE)
        job = name.removesuffix(".service")
        steps[f"run {unit.where}"] = {
            "command": ["sh", "-ec", "\n".join(lines).replace("%N", job)],
            **common,
            "environ": {**SYSTEMD, **dict(set_)},
            "job": job,
        }
    return steps


def plan() -> dict[str, Any]:
    """Return all that is run, by name."""
    runs: dict[str, Any] = {f"cron {one.where}": cron_step(one) for one in CRON}
    for unit in units():
        runs |= unit_steps(unit)
    for block, words, environ in containers():
        for name, shell in SHELLS.items():
            runs[f"{name} {block.where}"] = {
                "command": [*shell, *words[1:]],
                "environ": {"PATH": "/usr/bin:/bin", **environ},
                "cwd": "/",
                "job": job_of(words[-1]),
            }
    for script in scripts():
        if not script.file.startswith("/"):
            runs[f"script {script.where}"] = {
                "command": ["bash", "-c", script.text],
                "environ": {"PATH": "/usr/bin:/bin"},
                "cwd": HOME,
                "job": job_of(script.text),
            }
    for block in shell_commands():
        text = re.sub(r"\bJOB\b", "nightly-backup", block.text)
        runs[f"type {block.where}"] = {
            "command": ["bash", "-c", text],
            "environ": {"HOME": HOME, "USER": "root", "ROWS": "42"},
            "at_a_prompt": True,
            "cwd": WORK,
        }
    texts = [*(str(step["command"]) for step in runs.values())]
    everything = "\n".join([*texts, *(unit.text for unit in units())])
    example = (ROOT / "examples/queue-health.sh").read_text("utf-8")
    files = {one.file: one.text for one in scripts() if one.file.startswith("/")}
    files["/opt/queue-health.sh"] = example
    jobs = set(re.findall(r"/opt/[\w.-]+\.sh\b", everything)) - files.keys()
    return {
        "daemon": True,
        "absent": ABSENT,
        "work": WORK,
        "files": {
            "afterrun.yml": (ROOT / "afterrun.yml").read_text("utf-8"),
            "runs.ndjson": '{"job": "old", "ended_at": "2026-11-01T02:00:00Z"}\n',
        },
        "install": [{"text": README_STEPS, "cwd": str(ROOT)}],
        "jobs": [*sorted(jobs), f"{HOME}/backup.sh"],
        "scripts": files,
        "values": sorted(set(re.findall(r"/tmp/[\w.]+", everything))),  # noqa: S108
        "runs": runs,
    }


PLAN = plan()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What all of them did on a machine on which README's steps were run."""
    return machine.start(tmp_path_factory.mktemp("machine"), PLAN)


def test_there_are_snippets_of_each_kind() -> None:
    assert len(crontabs()) >= 6
    assert len(page_crontabs(machine.URL)) >= 3
    assert len(units()) >= 4
    assert len(containers()) >= 1
    assert len(INSTALLATIONS) >= 3


def test_every_kind_of_snippet_runs_or_has_a_reason_not_to() -> None:
    languages = {block.language for block in blocks()}

    assert languages == RUN | NOT_RUN.keys()


def test_the_steps_of_the_installation_work(results: Results) -> None:
    (installed,) = results["install"]

    assert installed["code"] == 0, installed["stderr"]


@pytest.mark.parametrize(
    "name", [name for name, step in PLAN["runs"].items() if "job" in step]
)
def test_a_pasted_command_runs_and_its_job_is_recorded(
    results: Results, name: str
) -> None:
    result = results["runs"][name]

    assert result["code"] == 0, result["stderr"] + results["daemon"]
    assert "not found" not in result["stderr"]
    if PLAN["runs"][name]["job"]:
        # The example of a queue has none here, which it reports.
        failed = "queue-health" in PLAN["runs"][name]["job"]
        assert result["outcomes"], results["daemon"]
        assert set(result["outcomes"]) == {"fail" if failed else "ok"}


@pytest.mark.parametrize("name", [name for name in PLAN["runs"] if "type" in name])
def test_commands_to_type_are_understood(results: Results, name: str) -> None:
    """By the programs that they name; what those find is another matter."""
    lines = results["runs"][name]["stderr"].splitlines()
    complaints = [line for line in lines if not OTHERS.fullmatch(line)]

    assert not re.search(
        r"not found|No such|Error|Usage|curl: |unknown|syntax|invalid",
        "\n".join(complaints),
    ), complaints


@pytest.mark.parametrize("part", SHELL_NOT_RUN)
def test_no_reason_is_left_for_a_command_that_is_gone(part: str) -> None:
    assert any(part in block.text for block in blocks("sh"))


@pytest.mark.parametrize("name", [name for name in PLAN["runs"] if "verify" in name])
def test_systemd_accepts_a_pasted_unit(results: Results, name: str) -> None:
    result = results["runs"][name]

    assert (result["code"], result["stderr"]) == (0, "")


def test_the_unit_shows_the_same_steps() -> None:
    unit = (ROOT / "deploy/afterrun.service").read_text("utf-8")
    steps = re.findall(r"^#   (sudo .*)$", unit, re.MULTILINE)

    assert "\n".join(steps).replace("sudo ", "") == README_STEPS.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel of this package."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    subprocess.run([*command, folder], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("command", INSTALLATIONS)
def test_it_is_installed_from_a_clone_a_git_url_and_a_wheel(
    command: str, wheel: Path, tmp_path: Path
) -> None:
    """A repository here stands for the one of the URL."""
    own = re.sub(r"git\+https://\S+", f"git+file://{ROOT}", command)
    steps = [
        {"text": "python3 -m venv /opt/afterrun", "cwd": "/"},
        {"text": own, "cwd": str(wheel if ".whl" in command else ROOT)},
    ]
    version = {
        "command": ["/opt/afterrun/bin/afterrun", "--version"],
        "environ": {},
        "cwd": "/",
    }
    nothing: dict[str, Any] = {
        "daemon": False,
        "jobs": [],
        "scripts": {},
        "values": [],
        "absent": [],
        "work": WORK,
        "files": {},
    }

    done = machine.start(
        tmp_path, {**nothing, "install": steps, "runs": {"version": version}}
    )

    assert [step["code"] for step in done["install"]] == [0, 0], done["install"]
    shown = done["runs"]["version"]["stdout"]
    assert re.match(
        r"afterrun, version \S+ \((?:branch: .+, )?revision: [0-9a-f]{12}\)\n", shown
    )
