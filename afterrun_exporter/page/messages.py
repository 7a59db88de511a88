"""Confirmation messages, by the key in the address."""

from __future__ import annotations

from typing import Final

DONE: Final = {
    "paused": "The job is paused and its alerts are resolved.",
    "resumed": "The job is monitored again.",
    "retired": "The job is removed. Its next ping registers it again as a new job.",
    "receiver-stored": "The receiver is added. AfterRun does not manage alertmanager.yml here: "
    "run afterrun generate alertmanager to activate it.",
    "receiver-written": "The receiver is added to alertmanager.yml; "
    "Alertmanager uses it after its next reload.",
    "receiver-reloaded": "The receiver is added and active in Alertmanager.",
    "receiver-removed": "The receiver is removed.",
}
