"""Messages that carry their own templates.

An AlertmanagerConfig has no files of templates. Text that uses them therefore begins with
their definitions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

_COMMENT: Final = re.compile(r"^\{\{/\*.*?\*/\}\}\n?", re.MULTILINE | re.DOTALL)
_DEFINE: Final = re.compile(r'^\{\{ define "([^"]+)"', re.MULTILINE)
_USE: Final = re.compile(r'\{\{-? *template "([^"]+)"')


class Messages:
    """The definitions of a template."""

    def __init__(self, template: str) -> None:
        text = _COMMENT.sub("", template)
        starts = [match.start() for match in _DEFINE.finditer(text)]
        ends = [*starts[1:], len(text)]
        #: The definition of each name, in the order of the template.
        self._definitions: Mapping[str, str] = {
            match[1]: text[start:end].strip()
            for match, start, end in zip(
                _DEFINE.finditer(text), starts, ends, strict=True
            )
        }
        self._inline = cache(self._with_definitions)

    def inline(self, text: str) -> str:
        """Return *text* after the definitions that it uses."""
        return self._inline(text) if _USE.search(text) else text

    def _with_definitions(self, text: str) -> str:
        used: set[str] = set()
        names = _USE.findall(text)
        while names:
            name = names.pop()
            if name not in used:
                used.add(name)
                names += _USE.findall(self._definitions[name])
        # The hyphens remove the line breaks between definitions.
        definitions = "".join(
            one.replace("{{ define", "{{- define", 1) + "\n"
            for name, one in self._definitions.items()
            if name in used
        )
        return definitions + text.replace("{{ template", "{{- template", 1)
