"""A daemon that follows a git repository over http: commits, webhooks, and failures."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGHUP
from typing import Final

import bcrypt
import pytest

from afterrun_exporter.core.secrets import digest
from tests.e2e.daemon.conftest import MakeDaemon
from tests.e2e.daemon.daemon import AFTERRUN, HOST, Answer, Daemon, wait_until
from tests.e2e.daemon.git_server import GitServer
from tests.git.repositories import Origin, git

GIT_TOKEN: Final = "MarkedGitToken"  # noqa: S105 - of this test alone
HOOK: Final = "MarkedHookToken"
ADMIN: Final = "MarkedAdminToken"

AUTH: Final = f"""\
auth:
  tokens:
    - {{name: hook, hash: "{digest(HOOK)}", scopes: [reload]}}
    - {{name: admin, hash: "{digest(ADMIN)}", scopes: [admin]}}
"""
JOBS: Final = "jobs:\n  backup: {every: 1h}\n"
MORE: Final = f"{JOBS}  sync: {{every: 1h}}\n"
BROKEN: Final = f"{JOBS}  sync: {{evry: 1h}}\n"


def basic(secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'git:{secret}'.encode()).decode()}"}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


#: What servers send after a push.
GITHUB: Final = {
    "User-Agent": "GitHub-Hookshot/044aadd",
    "Content-Type": "application/json",
    "X-GitHub-Event": "push",
    "X-Hub-Signature-256": f"sha256={'0' * 64}",
    **basic(HOOK),
}
GITLAB: Final = {
    "User-Agent": "GitLab/17.0",
    "Content-Type": "application/json",
    "X-Gitlab-Event": "Push Hook",
    **bearer(HOOK),
}


class Following:
    """A daemon that follows a repository on a server."""

    def __init__(self, daemon: Daemon, origin: Origin, server: GitServer) -> None:
        self.daemon = daemon
        self.origin = origin
        self.server = server
        self.token_file = daemon.database.with_name("git-token")
        self.token_file.write_text(f"{GIT_TOKEN}\n")
        self.cache = daemon.database.with_name("afterrun.db-git")

    def flags(self, *more: str) -> tuple[str, ...]:
        return (
            f"--config.git-url={self.server.url}/jobs/.git",
            "--config.git-ref=main",
            "--config.git-path=conf",
            f"--config.git-token-file={self.token_file}",
            "--config.git-interval=1h",
            # A stop that waits for a fetch does not end within a test.
            "--config.git-timeout=1h",
            *more,
        )

    def start(self, *more: str) -> None:
        self.daemon.start(*self.flags(*more))

    def push(self, text: str, *, amend: bool = False) -> str:
        return self.origin.commit({"conf/jobs.yml": text}, amend=amend)

    def ask(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        connection = self.daemon.connect()
        connection.request(method, path, b'{"ref": "refs/heads/main"}', headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return Answer(response.status, dict(response.headers), text)

    def hook(self, headers: dict[str, str] = GITHUB) -> Answer:
        return self.ask("POST", "/-/reload", headers)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path, bearer(ADMIN))

    def metric(self, name: str) -> str:
        """Return the value of a metric, with its labels if it has some."""
        lines = self.get("/metrics").text.splitlines()
        (line,) = (one for one in lines if one.startswith((f"{name} ", f"{name}{{")))
        return line.removeprefix(name).strip()

    def cli(self, *words: str) -> str:
        return subprocess.run(
            [AFTERRUN, *words, f"--url={self.daemon.url}"],
            env=os.environ | {"AFTERRUN_TOKEN": ADMIN},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def arguments(self) -> list[str]:
        """Return the command lines of the processes of git for the cache."""
        found: list[str] = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environ = path.with_name("environ").read_bytes()
            except OSError:
                continue
            if f"HOME={self.cache}".encode() in environ:
                found.append(line)
        return [line for line in found if line]


@pytest.fixture
def following(make_daemon: MakeDaemon, tmp_path: Path) -> Iterator[Following]:
    origin = Origin.create(tmp_path / "served" / "jobs")
    origin.commit({"conf/auth.yml": AUTH, "conf/jobs.yml": JOBS})
    server = GitServer(origin.folder.parent, GIT_TOKEN)
    server.start()
    following = Following(make_daemon(), origin, server)
    yield following
    following.daemon.kill()
    server.close()


@pytest.mark.parametrize("headers", [GITHUB, GITLAB], ids=["GitHub", "GitLab"])
def test_a_push_is_used_at_once(following: Following, headers: dict[str, str]) -> None:
    following.start()
    assert 'job_name="sync"' not in following.get("/metrics").text
    commit = following.push(MORE)

    answer = following.hook(headers)

    assert (answer.status, answer.text) == (200, "configuration reloaded\n")
    assert "sync" in following.get("/").text
    assert commit[:12] in following.get("/").text
    assert following.get("/api/v1/jobs/sync").status == 200
    assert following.get("/api/v1/state").json()["config_commit"] == commit
    assert "sync" in following.cli("jobs")
    assert f'git_sha="{commit}"' in following.metric("afterrun_config_info")
    following.ask("POST", "/ping/sync", bearer(ADMIN))
    (run,) = following.get("/api/v1/jobs/sync/runs").json()["runs"]
    assert run["config_commit"] == commit
    assert commit[:12] in following.cli("runs", "sync")
    assert commit[:12] in following.get("/jobs/sync").text


def test_a_broken_commit_keeps_the_last_good_one(following: Following) -> None:
    following.start()
    good = git(following.origin.folder, "rev-parse", "HEAD")
    broken = following.push(BROKEN)

    answer = following.hook()

    assert answer.status == 500
    place = f"{broken[:12]}:conf/jobs.yml:3: jobs.sync.evry: unknown key"
    assert answer.json()["detail"].startswith(place)
    assert f'git_sha="{good}"' in following.metric("afterrun_config_info")
    assert following.metric("afterrun_config_last_reload_successful") == "0.0"
    assert following.metric("afterrun_config_last_fetch_successful") == "1.0"
    assert following.ask("POST", "/ping/backup", bearer(ADMIN)).status == 200

    # Force-pushed away.
    fixed = following.push(MORE, amend=True)
    assert following.hook().status == 200
    assert f'git_sha="{fixed}"' in following.metric("afterrun_config_info")
    assert following.metric("afterrun_config_last_reload_successful") == "1.0"


def test_a_deleted_branch_is_an_error_until_it_is_back(following: Following) -> None:
    following.start()
    folder = following.origin.folder
    git(folder, "checkout", "--quiet", "-b", "other")
    git(folder, "branch", "--quiet", "-D", "main")

    answer = following.hook()

    assert answer.status == 502
    assert "has no branch, tag or commit 'main'" in answer.json()["detail"]
    assert following.metric("afterrun_config_last_fetch_successful") == "0.0"
    assert following.metric("afterrun_config_last_reload_successful") == "1.0"

    git(folder, "checkout", "--quiet", "-b", "main")
    assert following.hook().status == 200
    assert following.metric("afterrun_config_last_fetch_successful") == "1.0"


def test_a_server_that_is_gone_stops_nothing(following: Following) -> None:
    """Neither the daemon, nor a restart after a power cut."""
    following.start()
    commit = following.push(MORE)
    assert following.hook().status == 200
    following.server.stop()

    assert following.hook().status == 502

    assert following.daemon.get("/-/ready").status == 200
    assert following.metric("afterrun_config_last_fetch_successful") == "0.0"
    following.daemon.kill()
    following.start()
    assert f'git_sha="{commit}"' in following.metric("afterrun_config_info")
    assert following.get("/api/v1/jobs/sync").status == 200

    following.server.start()
    newest = following.push(f"{MORE}  third: {{}}\n")
    assert following.hook(GITLAB).status == 200
    assert f'git_sha="{newest}"' in following.metric("afterrun_config_info")


def test_a_daemon_killed_during_a_fetch_starts_from_its_cache(
    following: Following,
) -> None:
    following.start()
    commit = git(following.origin.folder, "rev-parse", "HEAD")
    following.push(MORE)
    hang(following, lambda: following.daemon.send_signal(SIGHUP))
    following.daemon.kill()
    following.server.stop()

    following.start()

    assert f'git_sha="{commit}"' in following.metric("afterrun_config_info")
    following.server.hangs = False
    following.server.start()
    assert following.hook().status == 200
    assert following.get("/api/v1/jobs/sync").status == 200


def hang(following: Following, act: Callable[[], object]) -> None:
    """Let the fetch that *act* starts hang."""
    server = following.server
    server.hangs, server.hanging = True, 0
    act()
    wait_until(lambda: server.hanging > 0, "a fetch hangs")


def test_a_stop_ends_the_first_fetch(following: Following) -> None:
    """With all processes of git, and without a database."""
    hang(following, lambda: following.daemon.launch(*following.flags()))

    stops(following)

    assert not following.daemon.database.exists()


def test_a_stop_ends_the_fetch_of_a_signal(following: Following) -> None:
    following.start()
    hang(following, lambda: following.daemon.send_signal(SIGHUP))

    stops(following)


def test_a_stop_ends_the_fetch_of_a_poll(following: Following) -> None:
    """A start from the cache fetches at once."""
    following.start()
    following.daemon.stop()
    hang(following, following.start)

    stops(following)


def test_a_stop_ends_the_fetch_of_a_webhook(following: Following) -> None:
    """It is answered."""
    following.start()
    connection = following.daemon.connect()
    hang(following, lambda: connection.request("POST", "/-/reload", b"", GITHUB))
    # What comes later is answered already, so that one has been read.
    following.daemon.get("/-/healthy")

    stops(following)

    response = connection.getresponse()
    assert response.status == 503
    assert "the daemon is stopping" in json.load(response)["detail"]
    connection.close()


def stops(following: Following) -> None:
    """Stop the daemon; git ends with it."""
    assert following.arguments()
    assert following.daemon.stop() == 0
    wait_until(lambda: not following.arguments(), "git has ended")
    assert "stop_forced" not in following.daemon.log
    assert "Traceback" not in following.daemon.log


def test_a_fetch_that_hangs_or_fails_does_not_delay_new_users(
    following: Following, tmp_path: Path
) -> None:
    """An empty list of users is only used on a reload."""
    web = tmp_path / "web.yml"
    password = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    web.write_text(f"basic_auth_users: {{alice: '{password}'}}\n")
    following.start(f"--web.config.file={web}")
    pair = b64encode(b"alice:secret").decode()
    alice = {"Authorization": f"Basic {pair}"}
    assert following.ask("GET", "/metrics", alice).status == 200

    web.write_text("basic_auth_users: {}\n")
    hang(following, lambda: following.daemon.send_signal(SIGHUP))
    assert following.ask("GET", "/metrics", alice).status == 401

    following.daemon.kill()
    following.server.hangs = False
    following.start(f"--web.config.file={web}")
    following.server.stop()
    web.write_text("basic_auth_user: {}\n")
    answer = following.hook()
    assert answer.status == 502
    assert "web.yml:1: basic_auth_user: unknown key" in answer.json()["detail"]
    assert "cannot be fetched" in answer.json()["detail"]


def test_no_secret_is_shown(following: Following) -> None:
    """Of the repository or of a webhook: in an argument, a log, a response or a page."""
    shown: list[str] = []
    following.start("--log.level=debug")
    shown += [following.hook().text, following.hook(basic("MarkedWrong")).text]
    following.push(BROKEN)
    shown += [following.hook(GITLAB).text]
    hang(following, lambda: following.daemon.send_signal(SIGHUP))
    lines = following.arguments()
    following.server.hangs = False
    assert any("fetch" in line for line in lines)
    following.daemon.kill()
    following.push(JOBS)
    following.token_file.write_text("MarkedOther\n")
    following.start("--log.level=debug")
    refused = following.hook()
    assert (refused.status, "was refused" in refused.text) == (502, True)
    paths = ("/", "/metrics", "/api/v1/state", "/jobs/backup", "/docs", "/alerts")
    shown += [refused.text, *lines, *(following.get(path).text for path in paths)]
    shown += [following.daemon.log, following.daemon.stdout]
    cached = [path for path in following.cache.rglob("*") if path.is_file()]

    hidden = [b64encode(f"{'x' * n}Marked".encode()).decode()[4:11] for n in (1, 2, 3)]
    for text in shown:
        assert not [mark for mark in ("Marked", *hidden) if mark in text], text
    assert not [path for path in cached if b"Marked" in path.read_bytes()]


def test_a_check_fetches_and_says_what_is_wrong(following: Following) -> None:
    good = following.daemon.ended(*following.flags("--config.check"))
    broken = following.push(BROKEN)
    bad = following.daemon.ended(*following.flags("--config.check"))

    assert (good.code, bad.code) == (0, 1)
    assert f"{broken[:12]}:conf/jobs.yml:3: jobs.sync.evry" in bad.stderr
    assert HOST not in bad.stderr
