from __future__ import annotations

import pytest

from afterrun_exporter.engine.job_admin import JobAdmin
from afterrun_exporter.engine.service import Service
from tests.fakes import ManualClock


@pytest.fixture
def job_admin(service: Service, clock: ManualClock) -> JobAdmin:
    return JobAdmin(service, clock)
