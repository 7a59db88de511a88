"""Parameters that are paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class PathType(click.Path):
    """A path, which is not empty.

    An empty one is a variable that is not set; as a `Path` it would be the current
    directory.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"path_type": Path, **options})

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if value == "":
            self.fail("'' is empty: write a path, or leave it out", param, ctx)
        return super().convert(value, param, ctx)
