"""Loading and reloading the web configuration file of a daemon."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from afterrun_exporter import config as configs
from afterrun_exporter.auth.callers import Caller, project_callers
from afterrun_exporter.auth.web_config import WebConfig
from afterrun_exporter.cli.timed_calls import TimedCalls
from afterrun_exporter.config.web_loading import load_web
from afterrun_exporter.engine.periodic import PeriodicTask
from afterrun_exporter.engine.service import Service
from afterrun_exporter.errors import ConfigError, Problem
from afterrun_exporter.server.passed_sockets import Bind
from afterrun_exporter.server.security import SecuritySettings
from afterrun_exporter.server.tls import TLSError, context_of

#: The interval of checks for changes, in seconds.
LOOK_EVERY: Final = 1.0

SWITCHED: Final = "TLS cannot be turned on or off while the daemon runs: restart it"
OPENED: Final = (
    "all users were removed, which may leave the daemon open: reload it to confirm"
)

HANGS: Final = "cannot be read within {:g} s: is it a pipe, or on NFS?"

log = structlog.get_logger()

#: Identifies a version of a file: modification time, size and inode.
Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class WebConfigState:
    """A loaded web configuration."""

    config: WebConfig
    context: ssl.SSLContext | None
    #: The versions of its files.
    marks: Sequence[Mark | None]

    def warnings(self, path: Path) -> Iterator[str]:
        """Yield a line about each key in the file at *path* that has no effect."""
        for key, reason in self.config.ignored:
            yield f"{path}: warning: {key}: {reason}"


def read(path: Path) -> WebConfigState:
    """Return the configuration of the file at *path*, with its certificates.

    Raises ConfigError with all problems of the file.
    """
    # Before reading, so that a change meanwhile is noticed.
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
    """The optional web configuration file, applied to the security settings."""

    def __init__(
        self,
        path: Path | None,
        security: SecuritySettings,
        timed_calls: TimedCalls | None = None,
    ) -> None:
        self._path = path
        self._security = security
        self._state: WebConfigState | None = None
        self._marks: Sequence[Mark | None] = ()
        self._timed_calls = timed_calls or TimedCalls()

    @property
    def encrypts(self) -> bool:
        """True if connections are encrypted."""
        return self._state is not None and self._state.context is not None

    async def read(self) -> WebConfigState | None:
        """Return the content of the file; raise ConfigError if it is invalid."""
        if self._path is None:
            return None
        before = self._state
        waits = before is None
        try:
            state = await self._timed_calls(read, self._path, forever=waits)
        except TimeoutError:
            raise config_error(
                self._path, "", HANGS.format(self._timed_calls.seconds)
            ) from None
        if before and (state.context is None) is not (before.context is None):
            raise config_error(self._path, "tls_server_config", SWITCHED)
        return state

    def apply(self, state: WebConfigState | None) -> None:
        """Use *state* from the next request and the next handshake on."""
        if state is None:
            return
        if self._state is None or state.config.users != self._state.config.users:
            # Only on a change, because it clears the cache of verified passwords.
            self._security.authenticator.trust_users(state.config.users)
        self._security.headers.add(state.config.headers)
        self._security.certificates.use(state.context, state.config.tls)
        for key, reason in state.config.ignored:
            log.warning("web_config_ignored", key=key, reason=reason)
        self._state = state
        self._marks = state.marks

    def task(self) -> PeriodicTask:
        """Return the task that reads the file again when it, or a certificate, changes."""
        return PeriodicTask(name="web_config", work=self.look, every=LOOK_EVERY)

    async def look(self) -> None:
        """Read the file again if it, or a certificate, has changed.

        This never removes the last user: a file may be empty for a moment while it is
        written.
        """
        if self._path is None:
            return
        try:
            marks = await self._timed_calls(self._current_marks)
        except TimeoutError:
            # The check is repeated later.
            return
        if marks == self._marks:
            return
        self._marks = marks
        try:
            state = await self.read()
            if self._has_users(self._state) and not self._has_users(state):
                raise config_error(self._path, "basic_auth_users", OPENED)
            self.apply(state)
        except ConfigError as error:
            log.error("web_config_refused", problems=str(error))  # noqa: TRY400
        else:
            log.info("web_config_loaded")

    @staticmethod
    def _has_users(state: WebConfigState | None) -> bool:
        return state is not None and bool(state.config.users)

    def _current_marks(self) -> Sequence[Mark | None]:
        if self._path is None or self._state is None:
            return ()
        return tuple(map(_mark, (self._path, *self._state.config.files)))


def config_error(path: Path | None, key: str, message: str) -> ConfigError:
    """Return the error for *key* of the file at *path*; "" for the file as a whole."""
    return ConfigError(str(path), [Problem(0, key, message)])


def warn_if_open(security: SecuritySettings, binds: Sequence[Bind]) -> bool:
    """Log a warning and return True if the daemon is open and reachable from outside."""
    wide = [str(bind) for bind in binds if not bind.is_loopback]
    if not security.authenticator.is_open or not wide:
        return False
    log.warning(
        "open_to_everybody",
        address=" ".join(wide),
        hint="every client that reaches it can report, read and change everything: set auth in "
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
    """Return the callers by the ping keys of the projects of *service*."""

    def project_of(name: str) -> str | None:
        job = service.job(name)
        return None if job is None else job.project

    return project_callers(service.job_config.projects, project_of)
