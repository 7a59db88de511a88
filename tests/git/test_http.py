"""Repositories over http and https, with a token in a file."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from afterrun_exporter.errors import GitError
from afterrun_exporter.git.remote import Remote, read_token
from afterrun_exporter.git.repository import Repository
from tests.git.repositories import Origin, serve
from tests.patience import PATIENCE

#: Real git, in many processes.
pytestmark = pytest.mark.thorough

TOKEN = "s3cret-t0ken"  # noqa: S105 - of this test alone

Served = Callable[..., Awaitable[TestServer]]


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = Origin.create(tmp_path / "served" / "jobs")
    origin.commit({"afterrun.yml": "jobs: {}\n"})
    return origin


@pytest.fixture
async def served(origin: Origin) -> object:
    """Return a function that starts a server of the repository."""
    servers: list[TestServer] = []

    async def start(
        app: web.Application | None = None,
        context: ssl.SSLContext | None = None,
        **settings: str,
    ) -> TestServer:
        app = app or serve(origin.folder.parent, **settings)
        server = TestServer(app, scheme="https" if context else "http")
        await server.start_server(ssl=context)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()


def token_file(folder: Path, token: str = TOKEN) -> Path:
    path = folder / "token"
    path.write_text(f"{token}\n")
    return path


async def fetch(folder: Path, remote: Remote, seconds: float = PATIENCE) -> str:
    repository = Repository(folder / "cache", remote, seconds)
    await repository.open()
    return await repository.fetch(read_token(remote))


def url(server: TestServer, path: str = "/jobs/.git") -> str:
    return str(server.make_url(path))


async def test_a_public_repository_needs_no_token(
    tmp_path: Path, origin: Origin, served: Served
) -> None:
    commit = origin.commit({"afterrun.yml": "jobs: {a: {}}\n"})

    assert await fetch(tmp_path, Remote(url=url(await served()))) == commit


async def test_a_token_is_sent(tmp_path: Path, served: Served) -> None:
    server = await served(token=TOKEN)
    remote = Remote(url=url(server), token_file=token_file(tmp_path))

    assert remote.sends_plain_token
    assert await fetch(tmp_path, remote)


async def test_so_is_a_user_name(tmp_path: Path, served: Served) -> None:
    server = await served(token=TOKEN, username="deploy")
    remote = Remote(url=url(server), token_file=token_file(tmp_path), username="deploy")

    assert await fetch(tmp_path, remote)


async def test_a_missing_or_wrong_token_is_named_without_showing_it(
    tmp_path: Path, served: Served
) -> None:
    server = await served(token=TOKEN)
    wrong = token_file(tmp_path, "wr0ng-secret")

    with pytest.raises(GitError, match=r"it requires --config\.git-token-file"):
        await fetch(tmp_path, Remote(url=url(server)))
    with pytest.raises(GitError, match=r"the token in .*token was refused") as refused:
        await fetch(tmp_path, Remote(url=url(server), token_file=wrong))
    assert "wr0ng" not in str(refused.value)


async def test_the_token_is_for_its_own_host_alone(
    tmp_path: Path, served: Served
) -> None:
    """A server that redirects to another one does not hand the token to it."""
    seen: list[str] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.Response(status=404)

    other = web.Application()
    other.router.add_route("*", "/{rest:.*}", note)
    target = await served(other)

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(target.make_url(str(request.rel_url)))

    first = web.Application()
    first.router.add_route("*", "/{rest:.*}", redirect)
    server = await served(first)
    remote = Remote(url=url(server), token_file=token_file(tmp_path))

    with pytest.raises(GitError, match="cannot be fetched"):
        await fetch(tmp_path, remote)
    assert seen
    assert set(seen) == {""}


async def test_a_repository_behind_a_redirect_gets_no_token(
    tmp_path: Path, origin: Origin, served: Served
) -> None:
    """In no request of the fetch, of which the redirect is only for the first."""
    seen: list[str] = []

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        return await handler(request)

    other = serve(origin.folder.parent)
    other.middlewares.append(note)
    target = await served(other)

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(target.make_url(str(request.rel_url)))

    first = web.Application()
    first.router.add_route("*", "/{rest:.*}", redirect)
    remote = Remote(url=url(await served(first)), token_file=token_file(tmp_path))

    assert await fetch(tmp_path, remote)
    assert len(seen) > 1
    assert set(seen) == {""}


async def test_the_token_is_in_no_file_of_the_cache(
    tmp_path: Path, served: Served
) -> None:
    server = await served(token=TOKEN)
    await fetch(tmp_path, Remote(url=url(server), token_file=token_file(tmp_path)))

    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


async def test_https_needs_an_authority(tmp_path: Path, served: Served) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server = await served(context=context, token=TOKEN)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    file = token_file(tmp_path)
    remote = Remote(url=url(server), token_file=file, ca_file=trusted)

    assert not remote.sends_plain_token
    assert await fetch(tmp_path, remote)
    with pytest.raises(GitError, match="certificate"):
        await fetch(tmp_path / "served", Remote(url=url(server), token_file=file))


async def test_a_server_that_does_not_answer_is_given_up(
    tmp_path: Path, served: Served
) -> None:
    remote = Remote(url=url(await served(), "/slow/jobs"))

    with pytest.raises(GitError, match="git did not finish within 3 s"):
        await fetch(tmp_path, remote, seconds=3)


async def test_a_server_that_is_not_there_is_an_error(
    tmp_path: Path, served: Served
) -> None:
    server = await served()
    address = url(server)
    await server.close()

    with pytest.raises(GitError, match=r"127\.0\.0\.1"):
        await fetch(tmp_path, Remote(url=address))


async def test_a_page_is_no_repository(tmp_path: Path, served: Served) -> None:
    """Neither is another address of the server."""
    server = await served()

    with pytest.raises(GitError, match="not found"):
        await fetch(tmp_path, Remote(url=url(server, "/other")))
