"""healthchecks-wrapper: a context manager."""

from __future__ import annotations

from healthchecks_wrapper import HealthCheck
from job import url, work

with HealthCheck(f"{url}/ping/a-key/healthchecks-wrapper"):
    work()
