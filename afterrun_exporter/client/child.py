"""The job's process: started, signalled, waited for."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.spool import Tell

#: What a shell exits with.
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
KILLED: Final = 128
#: What timeout(1) exits with.
TIMED_OUT: Final = 124

#: Errors of starting a program that may be gone in a minute.
PASSING: Final = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}
)

#: What a terminal sends to the whole group in its foreground, the job included.
BY_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    #: What a shell would exit with.
    status: int
    started_at: float
    ended_at: float
    #: By a clock that is not set meanwhile.
    duration: float
    timed_out: bool = False
    #: What is to be said beside its output.
    remark: str = ""
    #: Whether there was a process at all.
    ran: bool = True
    #: True if the command itself chose its status: it was neither killed nor timed out.
    exited: bool = False
    #: Whether another attempt may go better.
    again: bool = True


class Child:
    """A command that runs once."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        tell: Tell,
        *,
        own_group: bool,
    ) -> None:
        self._tell = tell
        self._command = command
        self._environ = environ
        self._own_group = own_group
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._early: list[int] = []
        self._over = Event()
        self._timed_out = False
        self._started_at = clock.now()
        self._began = clock.stopwatch()

    @property
    def started_at(self) -> float:
        """When it was started."""
        return self._started_at

    @property
    def began(self) -> float:
        """Its start, by the stopwatch."""
        return self._began

    def start(self, stdout: int | None, stderr: int | None) -> Ended | None:
        """Start it; return how it ended if there is nothing to start."""
        try:
            process = self._spawn(self._command, stdout, stderr)
        except OSError as error:
            return self._unstartable(error)
        except ValueError as error:
            # A NUL in an argument, which no program can get.
            return self._ended(
                NOT_EXECUTABLE, remark=str(error), ran=False, again=False
            )
        with self._lock:
            self._process = process
        for number in self._early:
            self.signal(number)
        return None

    def signal(self, number: int) -> None:
        """Pass a signal on to it, and to what it has started."""
        with self._lock:
            if self._process is None:
                self._early.append(number)
            elif self._own_group:
                self._send(number)
            elif number not in BY_TERMINAL:
                try:
                    self._process.send_signal(number)
                except PermissionError as error:
                    self._unreachable(error)

    def limit(self, timeout: float, kill_after: float) -> None:
        """End it after *timeout* seconds, first politely."""

        def watch() -> None:
            if self._over.wait(timeout):
                return
            self._timed_out = True
            self._tell(f"timed out after {timeout:g} s: SIGTERM is sent")
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)  # a stopped one could not hear it
            if not self._over.wait(kill_after):
                self._tell(f"still running {kill_after:g} s later: SIGKILL is sent")
                self.signal(signal.SIGKILL)

        Thread(target=watch, name="timeout", daemon=True).start()

    def wait(self) -> Ended:
        """Return how it ended, once it has."""
        assert self._process is not None  # noqa: S101 - `start` has returned None
        code = self._process.wait()
        self._over.set()
        if self._timed_out:
            return self._ended(TIMED_OUT, timed_out=True)
        if code >= 0:
            return self._ended(code, exited=True)
        remark = f"killed by {_name(-code)}"
        return self._ended(KILLED - code, remark=remark)

    def _spawn(
        self, command: Sequence[str], stdout: int | None, stderr: int | None
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - it is what we were asked to run
                command,
                stdout=stdout,
                stderr=stderr,
                env=self._environ,
                # It has the descriptors that we were started with: a lock, a log.
                close_fds=False,
                process_group=0 if self._own_group else None,
            )
        except OSError as error:
            import shutil  # noqa: PLC0415 - it brings three compressions

            script = shutil.which(command[0])
            if error.errno != errno.ENOEXEC or script is None:
                raise
            # A script without its first line: a shell runs it, so do we.
            return self._spawn(["/bin/sh", script, *command[1:]], stdout, stderr)

    def _unstartable(self, error: OSError) -> Ended:
        missing = isinstance(error, FileNotFoundError)
        status = NOT_FOUND if missing else NOT_EXECUTABLE
        why = "command not found" if missing else error.strerror or str(error)
        remark = f"{self._command[0]}: {why}"
        again = error.errno in PASSING
        return self._ended(status, remark=remark, ran=False, again=again)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return
            except PermissionError as error:
                self._unreachable(error)

    def _unreachable(self, error: PermissionError) -> None:
        self._tell(f"the command cannot be signalled: {error.strerror}")

    def _ended(
        self,
        status: int,
        *,
        timed_out: bool = False,
        remark: str = "",
        ran: bool = True,
        exited: bool = False,
        again: bool = True,
    ) -> Ended:
        return Ended(
            status=status,
            started_at=self._started_at,
            ended_at=clock.now(),
            duration=clock.stopwatch() - self._began,
            timed_out=timed_out,
            remark=remark,
            ran=ran,
            exited=exited,
            again=again,
        )


def owns_terminal() -> bool:
    """Return whether we are in the foreground of a terminal, with somebody at it."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
