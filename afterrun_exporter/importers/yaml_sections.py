"""Access to a mapping of another system's file, in which no key goes unnoticed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from afterrun_exporter.config.values import LONGEST
from afterrun_exporter.core.did_you_mean import did_you_mean
from afterrun_exporter.importers.model import Source, Unmapped
from afterrun_exporter.importers.yaml_files import YamlDocument
from afterrun_exporter.validation_messages import Path, quote, show


@dataclass(slots=True)
class Section:
    """A mapping at a path of a document whose paths are located."""

    document: YamlDocument
    path: Path
    data: dict[str, Any]
    #: Shared by all sections of a file.
    unmapped: list[Unmapped]
    _used: set[str] = field(default_factory=set)

    @property
    def source(self) -> Source:
        """The place where it starts."""
        return self.document.source(self.path)

    def has(self, key: str) -> bool:
        return self.data.get(key) is not None

    def value(self, key: str) -> Any:
        """Return the value of *key*, or None."""
        self._used.add(key)
        return self.data.get(key)

    def text(self, key: str) -> str | None:
        """Return the text of *key*; report anything else."""
        value = self.value(key)
        if value is None or isinstance(value, str):
            return value
        hint = ": put it in quotes" if isinstance(value, int | float) else ""
        self.report(key, f"expected text, not {quote(value)}{hint}")
        return None

    def boolean(self, key: str) -> bool | None:
        """Return true or false for *key*; report anything else."""
        value = self.value(key)
        if value is None or isinstance(value, bool):
            return value
        self.report(key, f"expected true or false, not {quote(value)}")
        return None

    def number(self, key: str) -> float | None:
        """Return the finite number of *key*; report anything else."""
        value = self.value(key)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) <= sys.float_info.max
        ):
            self.report(key, f"expected a number, not {quote(value)}")
            return None
        return value

    def count(self, key: str, least: int = 1) -> int | None:
        """Return the whole number of *key*, at least *least*; report anything else."""
        value = self.number(key)
        if value is None:
            return None
        if value != int(value) or not least <= value <= 1e9:
            self.report(key, f"expected a whole number from {least} on, not {value}")
            return None
        return int(value)

    def seconds(self, key: str) -> float | None:
        """Return the positive duration of *key* in seconds; report anything else."""
        value = self.number(key)
        if value is not None and not 0 < value <= LONGEST:
            self.report(key, f"expected seconds, up to ten years, not {value}")
            return None
        return value

    def texts(self, key: str) -> list[str] | None:
        """Return the list of texts of *key*; report anything else."""
        value = self.value(key)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        self.report(key, f"expected a list of texts, not {quote(value)}")
        return None

    def section(self, key: str) -> Section:
        """Return the mapping of *key*, or an empty one; report anything else."""
        value = self.value(key)
        if value is not None and not isinstance(value, dict):
            self.report(key, f"expected keys and values, not {quote(value)}")
        data = value if isinstance(value, dict) else {}
        return Section(self.document, (*self.path, key), data, self.unmapped)

    def sections(self, key: str) -> Iterator[Section]:
        """Yield the mappings in the list of *key*; report anything else."""
        value = self.value(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.report(key, f"expected a list, not {quote(value)}")
            return
        for number, one in enumerate(value):
            path = (*self.path, key, number)
            if isinstance(one, dict):
                yield Section(self.document, path, one, self.unmapped)
            else:
                reason = f"expected keys and values, not {quote(one)}"
                source = self.document.source(path)
                self.unmapped.append(Unmapped(source, show(path), reason))

    def report(self, key: str, reason: str) -> None:
        """Report that the value of *key* is not mapped, with the *reason*."""
        self._used.add(key)
        path = (*self.path, key)
        value = self.data.get(key)
        quoted = f": {quote(value)}" if isinstance(value, str | int | float) else ""
        self.unmapped.append(
            Unmapped(self.document.source(path), f"{show(path)}{quoted}", reason)
        )

    def report_whole(self, reason: str) -> None:
        """Report that all of it is not mapped."""
        name = show(self.path) or "the file"
        self.unmapped.append(Unmapped(self.source, name, reason))

    def close(self, keys: Collection[str]) -> None:
        """Report the keys that were not used; *keys* are those that can be."""
        for key in self.data:
            if key not in self._used:
                hint = did_you_mean(key, keys)
                self.report(key, f"unknown key{hint}")


def one_line(text: str) -> str:
    """Return *text* without characters that cannot be printed."""
    printable = (c if c.isprintable() and c != "\ufffd" else " " for c in text)
    return "".join(printable).strip()
