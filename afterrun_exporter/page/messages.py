"""What is said after something was done: a word in the address, a sentence on the page."""

from __future__ import annotations

from typing import Final

DONE: Final = {
    "paused": "The job is paused: nothing is expected of it, and its alerts are resolved.",
    "resumed": "The job is watched again.",
    "retired": "The job is removed. Should it ping again, it comes back as a new one.",
    "receiver-stored": "The receiver is added. No alertmanager.yml is kept up to date, "
    "so run afterrun generate alertmanager for it to be told.",
    "receiver-written": "The receiver is added and stands in alertmanager.yml; "
    "Alertmanager is told when it next reads that file.",
    "receiver-reloaded": "The receiver is added, and Alertmanager goes by it.",
    "receiver-removed": "The receiver is removed.",
}
