"""How long tests wait for what is to come."""

from __future__ import annotations

from typing import Final

#: Seconds. What takes longer than this hangs, even on a slow machine that is busy.
PATIENCE: Final = 600.0

#: Options of `afterrun exec`, `ping` and `spool flush`: without them a report that a busy
#: machine delivers late is kept in the spool.
PATIENT: Final = (f"--patience={PATIENCE}s", f"--request-timeout={PATIENCE}s")
