"""The web configuration of a daemon: read, applied, and read again when it changes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.auth.callers import Caller
from afterrun_exporter.auth.projects import project_callers
from afterrun_exporter.auth.web_config import WebConfig
from afterrun_exporter.cli.slow_files import Patience
from afterrun_exporter.config.web_loading import load_web
from afterrun_exporter.engine.periodic import PeriodicTask
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.server.addresses import Address
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.server.tls import TLSError, context_of

#: How often the files are looked at, in seconds.
LOOK_EVERY: Final = 1.0

SWITCHED: Final = "TLS cannot be turned on or off while the daemon runs: restart it"
OPENED: Final = (
    "all users are gone, which may leave the daemon open: reload it if that is meant"
)

HANGS: Final = "cannot be read within {:g} s: is it a pipe, or on NFS?"

log = structlog.get_logger()

#: What tells a file from another one at the same place.
Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class WebConfigState:
    """What a web configuration comes to."""

    config: WebConfig
    context: ssl.SSLContext | None
    #: Which files it has been made of.
    marks: Sequence[Mark | None]


def read(path: Path) -> WebConfigState:
    """Return what the file at *path* comes to, certificates and all.

    Raises ConfigError with everything that is wrong with it.
    """
    # Before it is read: what changes meanwhile is read again.
    own = _mark(path)
    text, config = load_web(path)
    marks = (own, *map(_mark, config.files))
    try:
        context = context_of(config.tls) if config.tls else None
    except TLSError as error:
        at = ("tls_server_config", error.key)
        problem = configs.problem_at(text, at, str(error))
        raise ConfigError(str(path), [problem]) from None
    return WebConfigState(config, context, marks)


class WebFile:
    """The web configuration file, if there is one, and the doors that go by it."""

    def __init__(
        self,
        path: Path | None,
        security: SecuritySettings,
        patience: Patience | None = None,
    ) -> None:
        self._path = path
        self._security = security
        self._locks: WebConfigState | None = None
        self._marks: Sequence[Mark | None] = ()
        self._patience = patience or Patience()

    @property
    def encrypts(self) -> bool:
        """Whether connections are encrypted."""
        return self._locks is not None and self._locks.context is not None

    async def read(self) -> WebConfigState | None:
        """Return what the file says now; raise ConfigError if that cannot be."""
        if self._path is None:
            return None
        before = self._locks
        waits = before is None
        try:
            found = await self._patience(read, self._path, forever=waits)
        except TimeoutError:
            raise self._problem("", HANGS.format(self._patience.seconds)) from None
        if before and (found.context is None) is not (before.context is None):
            raise self._problem("tls_server_config", SWITCHED)
        return found

    def apply(self, locks: WebConfigState | None) -> None:
        """Go by *locks* from now on: the next request, and the next handshake."""
        if locks is None:
            return
        if self._locks is None or locks.config.users != self._locks.config.users:
            # Or everybody's password would be checked anew.
            self._security.authenticator.trust_users(locks.config.users)
        self._security.headers.add(locks.config.headers)
        self._security.certificates.take(locks.context, locks.config.tls)
        self._locks = locks
        self._marks = locks.marks

    def task(self) -> PeriodicTask:
        """Return the task that reads the file again when it, or a certificate, changes."""
        return PeriodicTask(name="web_config", work=self.look, every=LOOK_EVERY)

    async def look(self) -> None:
        """Read the file again if it, or a certificate, has changed.

        By itself that does not open the daemon: a file that is empty for a
        moment, while it is written, says that there are no users.
        """
        if self._path is None:
            return
        try:
            marks = await self._patience(self._seen)
        except TimeoutError:
            # Nothing can be said of it, and everything goes on.
            return
        if marks == self._marks:
            return
        self._marks = marks
        try:
            found = await self.read()
            if self._has_users(self._locks) and not self._has_users(found):
                raise self._problem("basic_auth_users", OPENED)
            self.apply(found)
        except ConfigError as error:
            log.error("web_config_refused", problems=str(error))  # noqa: TRY400
        else:
            log.info("web_config_loaded")

    @staticmethod
    def _has_users(locks: WebConfigState | None) -> bool:
        return locks is not None and bool(locks.config.users)

    def _problem(self, key: str, message: str) -> ConfigError:
        return ConfigError(str(self._path), [Problem(0, key, message)])

    def _seen(self) -> Sequence[Mark | None]:
        if self._path is None or self._locks is None:
            return ()
        return tuple(map(_mark, (self._path, *self._locks.config.files)))


def warn_if_open(security: SecuritySettings, binds: Sequence[Address]) -> bool:
    """Tell the log, and return, that everybody can come in who reaches a port."""
    wide = [str(bind) for bind in binds if not bind.is_loopback]
    if not security.authenticator.is_open or not wide:
        return False
    log.warning(
        "open_to_everybody",
        address=" ".join(wide),
        hint="whoever reaches it may report, read and change everything: set auth in "
        "afterrun.yml, or listen on 127.0.0.1",
    )
    return True


def _mark(path: Path) -> Mark | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def owners(service: Service) -> Mapping[str, Caller]:
    """Return who comes with the keys of the projects that *service* knows."""

    def project_of(name: str) -> str | None:
        job = service.job(name)
        return None if job is None else job.project

    return project_callers(service.job_config.projects, project_of)
