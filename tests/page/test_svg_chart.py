"""Charts: what is drawn where, and that what jobs say stays text."""

from __future__ import annotations

import re
from importlib.resources import files
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.core.model import Job, Outcome, Run, SlowerThan
from afterrun_exporter.core.rules import Violation, parse_rule
from afterrun_exporter.page.job_charts import charts
from afterrun_exporter.page.strips import LENGTH, strip
from afterrun_exporter.page.svg_chart import HEIGHT, ROOM, Chart, Limit, Point
from afterrun_exporter.storage.store import Ended
from tests.copies import replace
from tests.core.jobs import BACKUP, Night, at
from tests.strategies import NUMBERS, TEXTS

NOW = at("22 12:00")


def chart(
    *values: float | None, limits: tuple[Limit, ...] = (), bad: int = -1
) -> Chart:
    points = [
        Point(value=value, bad=place == bad, label=f"run {place}")
        for place, value in enumerate(values)
    ]
    return Chart(title="rows", metric="rows", points=points, limits=limits)


def drawn(of: Chart) -> ET.Element:
    return ET.fromstring(of.svg())  # noqa: S314 - made by us a moment ago


def bars(of: Chart) -> list[dict[str, str]]:
    return [
        one.attrib for one in drawn(of).iter("rect") if "bar" in one.attrib["class"]
    ]


def test_a_bar_is_as_high_as_its_value() -> None:
    one, other = bars(chart(50, 100))

    bottom, room = HEIGHT - 1, HEIGHT - 1 - ROOM
    assert float(other["height"]) == pytest.approx(room)
    assert float(one["height"]) == pytest.approx(room / 2, abs=0.1)
    assert float(one["y"]) + float(one["height"]) == pytest.approx(bottom, abs=0.2)


def test_a_value_below_zero_hangs_from_the_line() -> None:
    up, down = bars(chart(100, -100))

    assert float(up["y"]) + float(up["height"]) == pytest.approx(
        float(down["y"]), abs=0.2
    )


def test_a_threshold_is_drawn_where_its_value_is() -> None:
    of = chart(50, 100, limits=(Limit(label="> 50", op=">", value=50),))
    (line,) = (one for one in drawn(of).iter("line") if one.get("class") == "limit l0")
    (back,) = (one for one in drawn(of).iter("rect") if one.get("class") == "forbidden")

    assert line.attrib["y1"] == line.attrib["y2"] == bars(of)[0]["y"]
    # Below it nothing is allowed.
    assert float(back.attrib["y"]) == pytest.approx(float(line.attrib["y1"]))
    assert of.legend == ["> 50"]


def test_a_threshold_far_above_everything_does_not_flatten_the_rest() -> None:
    of = chart(50, 100, limits=(Limit(label="max_runtime 1h", op="<=", value=3600),))
    (line,) = (
        one for one in drawn(of).iter("line") if "beyond" in one.get("class", "")
    )

    assert float(line.attrib["y1"]) == 1
    assert float(bars(of)[1]["height"]) > HEIGHT / 2
    assert of.legend == ["max_runtime 1h (above the scale)"]


def test_a_threshold_on_the_previous_value_is_a_step_for_each_run() -> None:
    limit = Limit(label=">= 0.5 * previous", op=">=", values=(None, 25.0, 50.0))
    steps = [one for one in drawn(chart(50, 100, 10, limits=(limit,))).iter("line")
             if one.get("class") == "limit l0"]  # fmt: skip

    assert len(steps) == 2
    assert float(steps[0].attrib["y1"]) > float(steps[1].attrib["y1"])


def test_a_bad_point_has_a_mark_and_one_that_is_missing_another() -> None:
    assert [u.get("href") for u in drawn(chart(1, 0, bad=1)).iter("use")] == [
        "#mark-bad"
    ]
    assert [u.get("href") for u in drawn(chart(1, None, bad=1)).iter("use")] == [
        "#mark-missing"
    ]
    assert "bad" in bars(chart(1, 0, bad=1))[1]["class"]


def test_a_chart_says_what_it_shows() -> None:
    of = chart(10, 30, 20, bad=1, limits=(Limit(label="> 5", op=">", value=5),))

    assert of.text == (
        "rows of the last 3 runs; from 10 to 30, median 20; limit > 5; 1 marked as bad"
    )
    assert drawn(of).findtext("title") == "rows"
    assert drawn(of).findtext("desc") == of.text
    assert of.ticks == ("30", "15", "0")


def test_a_chart_without_any_value_is_a_chart() -> None:
    of = chart(None, limits=(Limit(label="> 10", op=">", value=10),))

    assert "none reported it" in of.text
    assert bars(of) == []
    assert of.ticks[0] == "10"


@given(
    st.lists(st.none() | NUMBERS, max_size=5),
    st.lists(st.tuples(NUMBERS, st.sampled_from([">", "<", "=="])), max_size=3),
    TEXTS,
)
def test_any_numbers_and_any_words_make_a_drawing(
    values: list[float | None], limits: list[tuple[float, str]], words: str
) -> None:
    """Within its bounds, and whatever a job calls its metric stays text."""
    readable = re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", words)
    of = Chart(
        title=f"<b>{readable}",
        metric=readable,
        points=[Point(value=v, bad=True, label=f"</svg>{readable}") for v in values],
        limits=[Limit(label=readable, op=op, value=v) for v, op in limits],
    )

    root = drawn(of)
    assert {one.tag for one in root.iter()} <= {
        "svg", "title", "desc", "g", "rect", "line", "use"
    }  # fmt: skip
    for one in root.iter("rect"):
        if "height" in one.attrib:
            assert 0 <= float(one.attrib["height"]) <= HEIGHT
            assert 0 <= float(one.attrib["y"]) <= HEIGHT


class TestChartsOfAJob:
    def test_hold_the_duration_against_all_that_it_may_not_exceed(self) -> None:
        job = replace(
            BACKUP,
            rules=(parse_rule("duration < 45m"),),
            max_runtime=3600.0,
            slower_than=SlowerThan(factor=2, over=86400),
        )
        night = Night(job).ping("21 13:00", duration=3000.0)
        state = replace(night.state, slow_threshold=600.0)
        first, *_ = charts(job, state, night.runs, NOW)

        assert first.title == "Duration"
        assert first.legend == ["< 45m", "max_runtime 1h", "slow: 2 x median, 10m"]
        assert [point.bad for point in first.points] == [True]

    def test_show_metrics_of_rules_first_and_those_that_were_not_reported(self) -> None:
        night = Night().ping("21 13:00", metrics={"extra": 1.0, "rows": 0.0})
        found = [*charts(BACKUP, night.state, night.runs, NOW)]

        assert [one.title for one in found] == ["rows", "size", "extra"]
        assert [one.points[0].bad for one in found] == [True, True, False]
        assert found[0].legend == ["> 0"]

    def test_draw_what_a_run_was_compared_with(self) -> None:
        """The last run before it that was ok, as the judgement has it."""
        job = replace(BACKUP, rules=(parse_rule("rows >= 0.5 * previous"),))
        night = (
            Night(job)
            .ping("21 13:00", metrics={"rows": 100.0})
            .fail("21 14:00", metrics={"rows": 2.0})
            .ping("21 15:00", metrics={"rows": 10.0})
        )
        (rows,) = charts(job, night.state, night.runs[::-1], NOW)

        assert rows.limits[0].values == (None, 50.0, 50.0)
        assert night.outcomes == ["ok", "fail", "violated"]

    def test_are_none_without_a_run(self) -> None:
        assert list(charts(BACKUP, Night().state, [], NOW)) == []

    def test_call_a_run_that_broke_a_rule_by_its_number(self) -> None:
        run = Run(
            number=7,
            run_id=None,
            attempt=1,
            outcome=Outcome.VIOLATED,
            finished_at=NOW - 3600,
            received_at=NOW,
            metrics={"rows": 0.0},
            violations=(Violation("rows > 0", "rows", 0.0, "> 0"),),
        )
        (rows,) = charts(Job(name="a"), Night().state, [run], NOW)

        assert rows.points[0].label == (
            "run 7: 0 (violated); Sun 22 Nov 11:00 UTC, 1h ago"
        )


class TestStrip:
    @staticmethod
    def of(*outcomes: Outcome) -> str:
        """Return the strip of runs that ended like this, the newest first."""
        return strip([Ended(9 - n, one, NOW) for n, one in enumerate(outcomes)])

    def test_has_the_newest_on_the_right(self) -> None:
        told = self.of(Outcome.FAIL, Outcome.OK)

        assert told.index("#run-ok") < told.index("#run-fail")
        assert f'x="{(LENGTH - 1) * 11}"' in told
        assert "last 2 runs: 1 ok, 1 fail; the newest fail" in told

    def test_shows_no_more_than_it_has_room_for(self) -> None:
        assert self.of(*[Outcome.OK] * 50).count("<use") == LENGTH

    def test_has_a_symbol_for_every_outcome(self) -> None:
        """A colour is never all there is: each has a shape or a letter."""
        folder = files("afterrun_exporter.page") / "templates"
        sprite = (folder / "sprite.html").read_text("utf-8")

        assert all(f'id="run-{one.value}"' in sprite for one in Outcome)
        letters = re.findall(r'id="run-\w+">.*?class="letter"[^>]*>(.)<', sprite)
        assert len(letters) == len(set(letters)) == 5

    def test_of_no_run_says_so(self) -> None:
        assert "no runs yet" in strip([])


def test_each_limit_has_a_line_of_its_own_style() -> None:
    """So that it is told apart from others, also where they are close."""
    limits = tuple(Limit(label=f"< {n}", op="<", value=n) for n in (10.0, 11.0, 12.0))
    of = chart(5, 9, limits=limits)
    lines = [one.get("class") or "" for one in drawn(of).iter("line")]

    assert [one for one in lines if "limit" in one] == [
        "limit l0",
        "limit l1",
        "limit l2",
    ]


def test_an_axis_has_the_unit_of_the_rule() -> None:
    share = [Point(value=value, bad=False, label="") for value in (0.01, 0.034)]
    size = [Point(value=5e6, bad=False, label="")]

    assert Chart(title="r", metric="r", points=share, unit="%").ticks == (
        "4%",
        "2%",
        "0%",
    )
    assert Chart(title="n", metric="n", points=size, unit="B").ticks[0] == "8 MiB"
