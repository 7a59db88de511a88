"""Alerts of simulated jobs, compared with those there must be.

`make simulate` does the same for a year. `python -m tests.simulation --job NAME`, with
the numbers below, prints all that happened to one job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.simulation.compare import compare
from tests.simulation.found import Alert
from tests.simulation.report import simulate, table
from tests.simulation.stories import Size

HERE: Final = Path(__file__).parent

#: What knows nothing of the product.
MODULES: Final = sorted(
    [
        *(HERE / "oracle").glob("*.py"),
        *(HERE / f"{name}.py" for name in ("crons", "settings", "world", "life")),
        *(HERE / f"{name}.py" for name in ("stories", "found", "compare")),
    ]
)

#: `--jobs 40 --days 45 --trouble 3`
SIZE: Final = Size(jobs=40, days=45, trouble=3.0)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
def test_every_alert_is_true_and_reported_once(seed: int) -> None:
    result = simulate(seed, SIZE, processes=1)

    assert result.lines == [], table(result)
    # Nothing differs where nothing happens, either.
    assert all(result.tallies[name].found > 5 for name in ("missed", "failing"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_stories_and_oracle_share_no_code_with_the_product(module: Path) -> None:
    assert "afterrun_exporter" not in module.read_text("utf-8")


def alert(opened: float, resolved: float) -> Alert:
    return Alert("a", "missed", opened, opened, resolved, resolved)


@pytest.mark.parametrize(
    ("found", "differences"),
    [
        ([alert(10, 90)], []),
        ([alert(11, 91)], []),
        ([], ["missing"]),
        ([alert(10, 40)], ["late"]),
        ([alert(10, 90), alert(200, 210)], ["false"]),
        ([alert(10, 40), alert(50, 90)], ["late", "twice"]),
    ],
)
def test_a_comparison_notices(found: list[Alert], differences: list[str]) -> None:
    result = compare([alert(10, 90)], found)
    assert [one.what for one in result.differences] == differences
