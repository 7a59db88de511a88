"""A job's output, passed on byte by byte as it comes, and looked at on its way."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import termios
from collections.abc import Callable, Sequence
from struct import unpack
from threading import Event, Thread
from typing import Final

from afterrun_exporter.client import clock

PIECE: Final = 64 * 1024

#: How long output of others is waited for once the job has ended: what it started
#: in the background may keep the pipe open for days.
GRACE: Final = 0.5
#: How long somebody who does not read may keep us from reporting.
DRAIN: Final = 2.0

See = Callable[[bytes], None]


class Tee:
    """A pipe whose other end is a descriptor of ours."""

    def __init__(self, out: int, see: Sequence[See]) -> None:
        self._out = out
        self._see = see
        self._source, self.sink = os.pipe()
        self._over, self._end = os.pipe()
        self._thread = Thread(target=self._work, name=f"tee-{out}", daemon=True)
        self._thread.start()

    def close_sink(self) -> None:
        """Leave the pipe to the job alone: it ends when the job closes it."""
        os.close(self.sink)

    def finish(self) -> None:
        """Pass on what the job, which has ended, has left in the pipe."""
        os.close(self._end)
        self._thread.join(DRAIN)

    def drain(self, enough: Event) -> None:
        """Return when all is passed on, however slowly it is read, or at *enough*."""
        while self._thread.is_alive() and not enough.is_set():
            self._thread.join(0.1)

    def _work(self) -> None:
        try:
            self._pass_all()
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
        finally:
            # Nobody reads what we pass on: the job is to notice, as without us.
            os.close(self._source)
            os.close(self._over)

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
        for see in self._see:
            see(data)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._out, rest) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise
                # A full disk behind our output is no reason to stop the job.
                return len(data)
        return len(data)


def _waiting(pipe: int) -> int:
    """Return how many bytes can be read from *pipe* at once."""
    size: int = unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]
    return size
