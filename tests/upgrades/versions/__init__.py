"""What earlier versions left behind: tests/upgrades/record.py."""

from __future__ import annotations

from pathlib import Path

VERSIONS = sorted(path for path in Path(__file__).parent.glob("2*") if path.is_dir())
