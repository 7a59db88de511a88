"""Forwarding of signals to the job."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread
from typing import Final

#: Signals that are forwarded to the job.
FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
#: Signals that ask a program to end.
STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


def forward(act: Callable[[int], None]) -> None:
    """From now on pass every signal to *act*, in a separate thread.

    There *act* may acquire locks, which a signal handler could find locked. A signal
    that was ignored at our start stays ignored: nohup(1) asks for that.
    """
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ignore)

    def work() -> None:
        while True:
            for number in os.read(source, 64):
                act(number)

    Thread(target=work, name="signals", daemon=True).start()


def keep_children() -> None:
    """Restore the default handling of SIGCHLD, so that exit statuses are kept.

    Some supervisors ignore SIGCHLD; the system then drops the statuses.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _ignore(number: int, frame: object) -> None:
    """Do nothing. The signal is already in the pipe of `forward`."""
