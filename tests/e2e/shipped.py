"""The files that AfterRun ships, pointed at the programs of a test.

Only intervals, addresses and paths are replaced. A replacement that finds nothing to
replace is an error: the shipped file has moved on, and the test with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "rules/afterrun.rules.yml"
PROMETHEUS: Final = ROOT / "prometheus/prometheus.yml"
ALERTMANAGER: Final = ROOT / "alertmanager/alertmanager.yml"
TEMPLATES: Final = ROOT / "alertmanager/templates"

#: How one value is replaced by another, given its key ("" in a list).
Replace = Callable[[str, Any], Any]


class Shipped:
    """One of those files, on its way to becoming the file of a test."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._document = yaml.safe_load(source.read_text())

    def key(self, name: str, value: str) -> None:
        """Give every key *name* this value."""
        hits = _replace(self._document, lambda key, old: value if key == name else old)
        assert hits, f"{self._source} has no key {name!r} any more"

    def value(self, old: str, new: str) -> None:
        """Put *new* wherever *old* stands."""
        hits = _replace(self._document, lambda _, found: new if found == old else found)
        assert hits, f"{self._source} has no value {old!r} any more"

    def write(self, target: Path) -> Path:
        """Write what has become of it to *target*, and return that."""
        target.write_text(yaml.safe_dump(self._document, sort_keys=False))
        return target


def _replace(node: Any, replace: Replace) -> int:
    """Replace in *node*, in place; return how many values that hit."""
    if isinstance(node, dict):
        items: list[tuple[Any, Any]] = list(node.items())
    elif isinstance(node, list):
        items = list(enumerate(node))
    else:
        return 0
    hits = 0
    for key, old in items:
        new = replace(str(key) if isinstance(node, dict) else "", old)
        if new is not old:
            node[key] = new
            hits += 1
        else:
            hits += _replace(old, replace)
    return hits
