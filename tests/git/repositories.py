"""Repositories to follow, and servers for them."""

from __future__ import annotations

import asyncio
import os
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

SETTINGS = ("-c", "user.name=x", "-c", "user.email=x@example.com")


def git(folder: Path, *line: str, text: str | None = None) -> str:
    """Return the output of git in *folder*."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }
    result = subprocess.run(
        ["git", *SETTINGS, *line],
        cwd=folder,
        env=environ | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@dataclass(frozen=True)
class Origin:
    """A repository that others fetch from, with a branch `main`."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Origin:
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
        return cls(folder)

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def commit(self, files: dict[str, str], *, amend: bool = False) -> str:
        """Commit *files*; return the commit."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.folder, "add", "--all")
        return self.commit_index(amend=amend)

    def commit_index(self, *, amend: bool = False) -> str:
        more = ["--amend"] if amend else []
        git(
            self.folder,
            *("commit", "--quiet", "--allow-empty", "--message", "Change", *more),
        )
        return git(self.folder, "rev-parse", "HEAD")


def serve(
    root: Path, *, token: str = "", username: str = "x-access-token"
) -> web.Application:
    """Return a server of the repositories in *root*, by `git http-backend`.

    With a *token* it requires that. A request below /slow is never answered.
    """

    async def backend(request: web.Request) -> web.StreamResponse:
        pair = b64encode(f"{username}:{token}".encode()).decode()
        if token and request.headers.get("Authorization") != f"Basic {pair}":
            challenge = {"WWW-Authenticate": 'Basic realm="git"'}
            return web.Response(status=401, headers=challenge, text="no token")
        body = await request.read()
        environ = os.environ | {
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        process = await asyncio.create_subprocess_exec(
            *("git", "http-backend"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environ,
        )
        output, _ = await process.communicate(body)
        head, _, content = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=content)

    async def never(_: web.Request) -> web.StreamResponse:
        return await asyncio.Future()

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/slow/{rest:.*}", never)
    app.router.add_route("*", "/{rest:.*}", backend)
    return app
