"""A job's output, passed on byte by byte as it comes, and looked at on its way."""

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

#: How long output of others is waited for once the job has ended: what it started
#: in the background may keep the pipe open for days.
GRACE: Final = 0.5

See = Callable[[bytes], None]


class Tee:
    """A pipe whose content is written to a descriptor of ours.

    If that fails, the pipe is closed: the job gets SIGPIPE or EPIPE from its next
    write, as it gets an error without us. *failed* is called with the error.
    """

    def __init__(
        self,
        out: int,
        see: Sequence[See],
        failed: Callable[[OSError], None],
        blind: Callable[[Exception], None],
    ) -> None:
        self._out = out
        self._see = see
        self._failed = failed
        self._blind = blind
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
        """Leave the pipe to the job alone: it ends when the job closes it."""
        os.close(self.sink)

    def finish(self) -> None:
        """Pass on what the job, which has ended, has left in the pipe, and stop."""
        os.close(self._end)

    def wait(self, seconds: float) -> bool:
        """Return True if nothing remains to be passed on, after *seconds* at most."""
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
            self._failed(failure)

    def _pass_all(self) -> None:
        watched = select.poll()
        watched.register(self._source, select.POLLIN)
        watched.register(self._over, select.POLLIN)
        while True:
            ready = dict(watched.poll())
            if self._over in ready:
                break
            if not self._pass_one():
                return
        # All that the job itself wrote is in the pipe now.
        left = _waiting(self._source)
        deadline = clock.stopwatch() + GRACE
        watched.unregister(self._over)
        while left > 0 or clock.stopwatch() < deadline:
            patience = max(0.0, deadline - clock.stopwatch())
            if not watched.poll(1000 * patience):
                return
            passed = self._pass_one()
            if not passed:
                return
            left -= passed

    def _pass_one(self) -> int:
        """Pass one piece on; return its length, 0 at the end."""
        data = os.read(self._source, PIECE)
        self._look_at(data)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                select.select([], [self._out], [])
        return len(data)

    def _look_at(self, data: bytes) -> None:
        try:
            for see in self._see:
                see(data)
        except Exception as error:  # noqa: BLE001 - the output must be passed on
            self._see = ()
            self._blind(error)

    def _flush(self) -> None:
        """Raise OSError if a file system reports only now that a write failed.

        NFS and FUSE do so at each close(2) of a file, quotas among them.
        """
        if stat.S_ISREG(os.fstat(self._out).st_mode):
            os.close(os.dup(self._out))


def _waiting(pipe: int) -> int:
    """Return how many bytes can be read from *pipe* at once."""
    size: int = unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return size
