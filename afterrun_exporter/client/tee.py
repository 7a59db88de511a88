"""Passing on of a job's output, byte by byte, with copies for other consumers."""

from __future__ import annotations

import fcntl
import os
import select
import stat
import termios
from collections.abc import Callable, Sequence
from struct import unpack
from threading import Thread
from typing import Final

from afterrun_exporter.client import clock

PIECE: Final = 64 * 1024

#: Time to wait for further output after the job has ended, in seconds: its background
#: processes may keep the pipe open for days.
GRACE: Final = 0.5

Consumer = Callable[[bytes], None]


class Tee:
    """A pipe whose content is written to a descriptor of ours.

    If that fails, the pipe is closed: the job gets SIGPIPE or EPIPE from its next
    write, as it gets an error without us. *failed* is called with the error.
    """

    def __init__(
        self,
        out: int,
        consumers: Sequence[Consumer],
        on_write_error: Callable[[OSError], None],
        on_read_error: Callable[[Exception], None],
    ) -> None:
        self._out = out
        self._consumers = consumers
        self._on_write_error = on_write_error
        self._on_read_error = on_read_error
        self._source, self.sink = os.pipe()
        self._over, self._end = os.pipe()
        self._thread = Thread(target=self._work, name=f"tee-{out}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            for pipe in (self._source, self.sink, self._over, self._end):
                os.close(pipe)
            raise

    def close_sink(self) -> None:
        """Close our write end of the pipe, so that it ends when the job does."""
        os.close(self.sink)

    def finish(self) -> None:
        """Pass on the rest of the pipe after the job has ended, and stop."""
        os.close(self._end)

    def wait(self, seconds: float) -> bool:
        """Wait at most *seconds*; return True if nothing remains to be passed on."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        failure: OSError | None = None
        try:
            self._pass_all()
            self._flush()
        except OSError as error:
            failure = error
        finally:
            os.close(self._source)
            os.close(self._over)
        if failure is not None:
            self._on_write_error(failure)

    def _pass_all(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(self._over, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._over in ready:
                break
            if not self._pass_one():
                return
        # By now the pipe has all output of the job itself.
        remaining = _waiting(self._source)
        deadline = clock.stopwatch() + GRACE
        poll.unregister(self._over)
        while remaining > 0 or clock.stopwatch() < deadline:
            wait = max(0.0, deadline - clock.stopwatch())
            if not poll.poll(1000 * wait):
                return
            passed = self._pass_one()
            if not passed:
                return
            remaining -= passed

    def _pass_one(self) -> int:
        """Pass one piece on; return its length, 0 at the end."""
        data = os.read(self._source, PIECE)
        self._copy_to_consumers(data)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                select.select([], [self._out], [])
        return len(data)

    def _copy_to_consumers(self, data: bytes) -> None:
        try:
            for consumer in self._consumers:
                consumer(data)
        except Exception as error:  # noqa: BLE001 - the output must be passed on
            self._consumers = ()
            self._on_read_error(error)

    def _flush(self) -> None:
        """Raise OSError if a file system reports only now that a write failed.

        NFS and FUSE do so at each close(2) of a file, quotas among them.
        """
        if stat.S_ISREG(os.fstat(self._out).st_mode):
            os.close(os.dup(self._out))


def _waiting(pipe: int) -> int:
    """Return the number of bytes that can be read from *pipe* at once."""
    size: int = unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return size
