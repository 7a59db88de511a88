"""A configuration is checked by a daemon that does not come to harm by it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from afterrun_exporter.api.check import TOO_LONG
from afterrun_exporter.config import checker, loading
from afterrun_exporter.errors import ConfigError
from tests.http import Client

CONFIGS = Path(__file__).parents[1] / "configs"

GOOD = "jobs:\n  backup:\n    every: 1d\n    rules: [rows > 0]\n  sync: {}\n"
BAD = "jobs:\n  backup:\n    evry: 1d\n    rules: [rows]\n"
ODD = 'jobs:\n  never:\n    schedule: "0 0 30 2 *"\n'


async def checked(client: Client, text: str | BytesIO) -> Any:
    response = await client.post("/api/v1/check", data=text)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_good_file_is_counted(client: Client) -> None:
    """As `afterrun check` does."""
    assert await checked(client, GOOD) == {
        "valid": True,
        "problems": [],
        "warnings": [],
        "jobs": 2,
        "scheduled": 1,
        "rules": 1,
    }


async def test_all_that_is_wrong_is_told_at_once(client: Client) -> None:
    """Each with its line and its key."""
    answer = await checked(client, BAD)

    assert not answer["valid"]
    assert answer["problems"] == [
        {
            "line": 3,
            "key": "jobs.backup.evry",
            "message": "unknown key; did you mean 'every'?",
        },
        {
            "line": 4,
            "key": "jobs.backup.rules[0]",
            "message": (
                "cannot read rule 'rows': write METRIC OP VALUE, METRIC OP FACTOR * "
                'previous, METRIC between A and B, FIELD == "TEXT" or FIELD !contains '
                '"TEXT"'
            ),
        },
    ]
    assert (answer["jobs"], answer["rules"]) == (None, None)


@pytest.mark.thorough
async def test_what_is_odd_without_being_wrong_is_a_warning(client: Client) -> None:
    answer = await checked(client, ODD)

    assert answer["valid"]
    assert answer["warnings"] == [
        {
            "line": 3,
            "key": "jobs.never.schedule",
            "message": "'0 0 30 2 *' matches no future day",
        }
    ]


async def test_a_body_is_the_file_unless_it_is_json(client: Client) -> None:
    """So that `curl --data-binary @afterrun.yml` is all it takes."""
    wrapped = await client.post("/api/v1/check", json={"config": GOOD})

    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        text = await client.post("/api/v1/check", data=GOOD.encode(), headers=headers)
        assert await text.json() == await wrapped.json()


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        ("{}", "application/json", "'config' is missing"),
        (
            '{"jobs": {}}',
            "application/json",
            "'config' is missing\njobs: unknown key: use one of config",
        ),
        (
            "jobs:\n  \xe9: {}",
            "text/plain",
            "the body is not UTF-8: byte 0xe9 in line 2",
        ),
    ],
)
async def test_what_is_no_file_is_a_bad_request(
    client: Client, body: str, kind: str, detail: str
) -> None:
    response = await client.post(
        "/api/v1/check", data=body.encode("latin-1"), headers={"Content-Type": kind}
    )

    assert response.status == 400
    assert (await response.json(content_type=None))["detail"] == detail


async def test_a_file_that_is_too_long_is_refused(client: Client) -> None:
    """One of a few megabytes is not."""
    comment = b"jobs: {} #" + b"#" * 2**21
    fits = await checked(client, BytesIO(comment))
    response = await client.post("/api/v1/check", data=BytesIO(comment * 3))

    assert fits["valid"]
    assert response.status == 413


@pytest.mark.thorough
async def test_thousands_of_problems_are_not_all_told(client: Client) -> None:
    """Nobody reads them, and an answer is not to be longer than its question."""
    wrong = "".join(f"  job-{n}: {{evry: 1d}}\n" for n in range(1500))

    answer = await checked(client, f"jobs:\n{wrong}")

    assert len(answer["problems"]) == 1001
    assert answer["problems"][-1] == {
        "line": 0,
        "key": "",
        "message": "500 more are not shown: fix these first",
    }


@pytest.mark.parametrize(
    "file", sorted(CONFIGS.glob("bad/*.yml")), ids=lambda f: f.stem
)
def test_what_is_sent_is_judged_as_a_file_is(file: Path) -> None:
    """Whatever is wrong with it: it only is not looked for on the disk."""
    text = file.read_text("utf-8")
    said = []
    for on_disk in (True, False):
        with pytest.raises(ConfigError) as refused:
            loading.parse(text, on_disk=on_disk)
        said.append(refused.value.problems)

    assert said[0] == said[1]


async def test_no_file_is_looked_for(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever may ask could find out what is on the daemon's disk."""
    (tmp_path / "real.yml").write_text("route: {}", "utf-8")
    (tmp_path / "link.yml").symlink_to(tmp_path / "real.yml")
    monkeypatch.chdir(tmp_path)
    named = f"alertmanager: {{base: {tmp_path}/link.yml, config_file: real.yml}}"
    gone = "alertmanager: {base: /nothing/is/here.yml, config_file: other.yml}"
    same = "alertmanager: {base: ./real.yml, config_file: real.yml}"

    with pytest.raises(ConfigError, match="is the same file as config_file"):
        loading.parse(named)
    assert (await checked(client, named))["valid"]
    assert (await checked(client, gone))["valid"]
    assert not (await checked(client, same))["valid"]


@pytest.mark.thorough
async def test_a_file_that_takes_for_ever_is_given_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And pings are answered meanwhile: it is another process that hangs."""
    monkeypatch.setattr("afterrun_exporter.api.check.PATIENCE", 1.5)
    lines = (f"  j{number}: {{every: 1d}}\n" for number in range(180_000))
    endless = "jobs:\n" + "".join(lines)

    asked = asyncio.create_task(
        client.post("/api/v1/check", data=BytesIO(endless.encode()))
    )
    ping = await client.get("/ping/backup")
    response = await asked

    assert ping.status == 200
    assert response.status == 400
    assert (await response.json(content_type=None))["detail"] == (
        "the check took too long: send a smaller file, or run `afterrun check` next "
        "to the file"
    )


def test_a_check_may_use_ten_seconds_of_cpu_time_and_one_gibibyte() -> None:
    """And has a low priority, so that it holds up nobody who reports."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", checker.__name__, "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        # A pipe holds less than this. Once all is written, the check has begun to read,
        # so it has set its limits.
        process.stdin.write(b"jobs: {} #" + b" " * 2**20)
        process.stdin.flush()
        cpu = resource.prlimit(process.pid, resource.RLIMIT_CPU)
        memory = resource.prlimit(process.pid, resource.RLIMIT_AS)
        priority = os.getpriority(os.PRIO_PROCESS, process.pid)
        process.stdin.close()
        assert json.load(process.stdout)["valid"]

    assert (cpu, memory) == ((10, 10), (2**30, 2**30))
    assert priority == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)


async def test_a_check_that_uses_up_its_cpu_time_took_too_long(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = tmp_path / "busy"
    busy.write_text("#!/bin/sh\nulimit -t 1\nwhile :; do :; done\n")
    busy.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(busy))

    response = await client.post("/api/v1/check", data=GOOD)

    assert response.status == 400
    assert (await response.json(content_type=None))["detail"] == TOO_LONG
