"""The job's process: starting it, sending signals, waiting for its end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any, Final

from afterrun_exporter.client import clock
from afterrun_exporter.client.spool import Warn

#: Exit statuses of a shell.
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
KILLED: Final = 128
#: Exit status of timeout(1).
TIMED_OUT: Final = 124

#: Errors of starting a program that may disappear within a minute.
TRANSIENT: Final = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}
)

#: Signals that a terminal sends to its foreground process group, the job included.
BY_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT})


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a process."""

    #: The exit status that a shell would report.
    status: int
    started_at: float
    ended_at: float
    #: Measured with a monotonic clock.
    duration: float
    timed_out: bool = False
    #: A line for the report, in addition to the output.
    remark: str = ""
    #: False if no process could be started.
    ran: bool = True
    #: True if the command itself chose its status: it was neither killed nor timed out.
    exited: bool = False
    #: True if another attempt may succeed.
    again: bool = True


class Child:
    """A command that runs once."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        warn: Warn,
        *,
        own_group: bool,
    ) -> None:
        self._warn = warn
        self._command = command
        self._environ = environ
        self._own_group = own_group
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._early: list[int] = []
        self._over = Event()
        self._timed_out = False
        #: The start of the process, as Unix time and by the stopwatch.
        self.started_at = clock.now()
        self.began = clock.stopwatch()

    def start(self, stdout: int | None, stderr: int | None) -> ProcessEnd | None:
        """Start the process; return its end at once if it cannot be started."""
        try:
            process = self._spawn(self._command, stdout, stderr)
        except OSError as error:
            return self._start_failure(error)
        except ValueError as error:
            # An argument with a NUL, which no program can receive.
            return self._end(NOT_EXECUTABLE, remark=str(error), ran=False, again=False)
        with self._lock:
            self._process = process
        for number in self._early:
            self.signal(number)
        return None

    def signal(self, number: int) -> None:
        """Forward a signal to the process, and to the processes that it started."""
        with self._lock:
            if self._process is None:
                self._early.append(number)
            elif self._own_group:
                self._send_to_group(number)
            elif number not in BY_TERMINAL:
                try:
                    self._process.send_signal(number)
                except PermissionError as error:
                    self._unreachable(error)

    def limit(self, timeout: float, kill_after: float) -> None:
        """Send SIGTERM after *timeout* seconds, SIGKILL *kill_after* seconds later."""

        def watch() -> None:
            if self._over.wait(timeout):
                return
            self._timed_out = True
            self._warn(f"timed out after {timeout:g} s: sending SIGTERM")
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)  # a stopped process does not handle SIGTERM
            if not self._over.wait(kill_after):
                self._warn(f"still running {kill_after:g} s later: sending SIGKILL")
                self.signal(signal.SIGKILL)

        Thread(target=watch, name="timeout", daemon=True).start()

    def wait(self) -> ProcessEnd:
        """Wait for the end of the process, and return it."""
        assert self._process is not None  # noqa: S101 - `start` has returned None
        code = self._process.wait()
        self._over.set()
        if self._timed_out:
            return self._end(TIMED_OUT, timed_out=True)
        if code >= 0:
            return self._end(code, exited=True)
        remark = f"killed by {_name(-code)}"
        return self._end(KILLED - code, remark=remark)

    def _spawn(
        self, command: Sequence[str], stdout: int | None, stderr: int | None
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - the user's command
                command,
                stdout=stdout,
                stderr=stderr,
                env=self._environ,
                # It inherits the descriptors that we were started with: a lock, a log.
                close_fds=False,
                process_group=0 if self._own_group else None,
            )
        except OSError as error:
            import shutil  # noqa: PLC0415 - it imports three compression modules

            script = shutil.which(command[0])
            if error.errno != errno.ENOEXEC or script is None:
                raise
            # A script without a "#!" line: a shell runs it with sh, and so do we.
            return self._spawn(["/bin/sh", script, *command[1:]], stdout, stderr)

    def _start_failure(self, error: OSError) -> ProcessEnd:
        missing = isinstance(error, FileNotFoundError)
        status = NOT_FOUND if missing else NOT_EXECUTABLE
        why = "command not found" if missing else error.strerror or str(error)
        remark = f"{self._command[0]}: {why}"
        again = error.errno in TRANSIENT
        return self._end(status, remark=remark, ran=False, again=again)

    def _send_to_group(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return
            except PermissionError as error:
                self._unreachable(error)

    def _unreachable(self, error: PermissionError) -> None:
        self._warn(f"cannot send signals to the command: {error.strerror}")

    def _end(self, status: int, **facts: Any) -> ProcessEnd:
        return ProcessEnd(
            status=status,
            started_at=self.started_at,
            ended_at=clock.now(),
            duration=clock.stopwatch() - self.began,
            **facts,
        )


def owns_terminal() -> bool:
    """Return True if this process is in the foreground of a terminal."""
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
