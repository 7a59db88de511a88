"""Signals sent to us, handed to whoever is to act on them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread
from typing import Final

#: What is passed on to the job.
FORWARDED: Final = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
#: What asks a program to end.
STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


def forward(act: Callable[[int], None]) -> None:
    """From now on hand every signal to *act*, in a thread of its own.

    There *act* may take locks, which in a handler could be held already. A signal
    that was ignored when we started stays so: that is what nohup(1) asks for.
    """
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _noted)

    def work() -> None:
        while True:
            for number in os.read(source, 64):
                act(number)

    Thread(target=work, name="signals", daemon=True).start()


def keep_children() -> None:
    """Let the exit status of a child be kept until it is waited for.

    Where SIGCHLD is ignored, as some supervisors leave it, the system drops the status.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _noted(number: int, frame: object) -> None:
    """Let the signal not end us. The pipe has it already."""
