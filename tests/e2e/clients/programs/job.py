"""The job that every client here reports: it leaves a mark, and fails if told to."""

from __future__ import annotations

import os
from pathlib import Path

url = os.environ["URL"]


def work():
    Path(os.environ["MARK"]).touch()
    if os.environ["FAILS"]:
        raise OSError("the disk is gone")
