"""Signals that the tests send, and what the runner of the tests does with them."""

from __future__ import annotations

import signal
from typing import Final

#: What a runner in the background ignores: `nohup`, and `&` in a script. The programs that
#: it starts would ignore them too, and so would never end.
TERMINAL_SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def stop_ignoring_signals() -> None:
    """Make this process, and the programs it starts, end by the signals of a terminal."""
    for number in TERMINAL_SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
