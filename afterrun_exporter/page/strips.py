"""Small pictures of the last runs of a job, for the rows of the overview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from afterrun_exporter.core.model import Outcome
from afterrun_exporter.core.plurals import plural
from afterrun_exporter.storage.store import Ended

#: The number of runs in a strip.
LENGTH: Final = 20
#: The distance between runs, in pixels.
PITCH: Final = 11
HEIGHT: Final = 18


def strip(endings: Sequence[Ended]) -> Markup:
    """Return the picture of *endings*, which are sorted newest first; newest at the right.

    Each outcome has its own colour and letter, in a symbol that the page defines once.
    Ok is a low bar, so that other outcomes are easy to see.
    """
    if not endings:
        return Markup('<span class="none">no runs yet</span>')
    runs = endings[:LENGTH][::-1]
    start = (LENGTH - len(runs)) * PITCH
    cells = "".join(
        f'<use href="#run-{run.outcome.value}" x="{start + place * PITCH}"/>'
        for place, run in enumerate(runs)
    )
    width = LENGTH * PITCH
    # Numbers and constant words only: no text from a job, so no escaping is needed.
    return Markup(  # noqa: S704
        f'<svg class="strip" role="img" width="{width}" height="{HEIGHT}" '
        f'viewBox="0 0 {width} {HEIGHT}"><title>{in_words(runs)}</title>{cells}</svg>'
    )


def in_words(runs: Sequence[Ended]) -> str:
    """Return a description of the strip for *runs*, newest last."""
    counts = Counter(run.outcome for run in runs)
    counts_text = ", ".join(
        f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]
    )
    many = f"last {plural(len(runs), 'run')}" if len(runs) > 1 else "only run"
    return f"{many}: {counts_text}; the newest {runs[-1].outcome}"
