"""The strip of a job's last runs: a picture for each row, small and quick to make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from afterrun_exporter.core.model import Outcome
from afterrun_exporter.storage.store import Ended

#: Runs in a strip.
LENGTH: Final = 20
#: From one run to the next, in pixels.
PITCH: Final = 11
HEIGHT: Final = 18

_WORDS: Final = {
    Outcome.OK: "ok",
    Outcome.FAIL: "failed",
    Outcome.VIOLATED: "broke a rule",
    Outcome.PARTIAL: "partial",
    Outcome.TIMEOUT: "timed out",
    Outcome.CANCELED: "canceled",
    Outcome.SKIPPED: "skipped",
    Outcome.INVALID: "could not be read",
}


def strip(endings: Sequence[Ended]) -> Markup:
    """Return the picture of *endings*, which come newest first; the newest is right.

    Each outcome has a colour and a letter of its own, by a symbol of that name which
    the page defines once; ok is a low bar, so that everything else stands out.
    """
    if not endings:
        return Markup('<span class="none">no runs yet</span>')
    runs = endings[:LENGTH][::-1]
    left = (LENGTH - len(runs)) * PITCH
    cells = "".join(
        f'<use href="#run-{run.outcome.value}" x="{left + place * PITCH}"/>'
        for place, run in enumerate(runs)
    )
    width = LENGTH * PITCH
    # Numbers and words of our own: nothing here comes from a job.
    return Markup(  # noqa: S704
        f'<svg class="strip" role="img" width="{width}" height="{HEIGHT}" '
        f'viewBox="0 0 {width} {HEIGHT}"><title>{in_words(runs)}</title>{cells}</svg>'
    )


def in_words(runs: Sequence[Ended]) -> str:
    """Return what the strip shows: *runs*, the newest last."""
    counts = Counter(run.outcome for run in runs)
    told = ", ".join(
        f"{counts[outcome]} {words}"
        for outcome, words in _WORDS.items()
        if counts[outcome]
    )
    many = f"last {len(runs)} runs" if len(runs) > 1 else "only run"
    return f"{many}: {told}; the newest {_WORDS[runs[-1].outcome]}"
