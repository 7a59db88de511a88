"""The panels as a Grafana dashboard. Importing it needs the extra `grafana`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from grafana_foundation_sdk.builders import (
    common as common_builders,
)
from grafana_foundation_sdk.builders import (
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, units
