"""Gives every connection of a client the patience of tests: the name is Python's.

A busy machine may answer later than the client's own time limit, which some clients do
not let a program choose.
"""

from __future__ import annotations

import os
import socket

_set_timeout = socket.socket.settimeout
_patience = float(os.environ["PATIENCE"])


def _set_longer_timeout(self, seconds):
    # None is no limit, and 0 does not block.
    _set_timeout(self, max(seconds, _patience) if seconds else seconds)


socket.socket.settimeout = _set_longer_timeout
