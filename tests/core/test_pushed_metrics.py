"""Groups of pushed metrics, and the page that they make."""

from __future__ import annotations

import pytest

from afterrun_exporter.core.pushed_metrics import (
    FAILED,
    PUSHED,
    Family,
    Group,
    Groups,
    after_push,
    after_refusal,
    labels_of,
    series,
)

ETL = Group(labels=(("job", "etl"),), job="etl")
SYNC = Group(labels=(("instance", "a"), ("job", "sync")), job="sync:a")


def family(group: Group, name: str, kind: str = "gauge", **labels: str) -> Family:
    return Family(
        kind, "Help.", {series(name, {**labels, **dict(group.labels)}): "1.0"}
    )


def pushed(group: Group, *, now: float = 5.0, **families: Family) -> Group:
    return after_push(group, families, now, replacing=True)


def one(group: Group, name: str, kind: str) -> Group:
    """Return *group* with one family pushed to it."""
    return after_push(group, {name: family(group, name, kind)}, 5.0, replacing=True)


def test_what_is_pushed_is_exposed_with_the_labels_of_its_group() -> None:
    groups = Groups()

    groups.put(pushed(ETL, rows=family(ETL, "rows", table='a"b')))
    groups.put(pushed(SYNC, now=7.5, rows=family(SYNC, "rows")))

    assert groups.page().decode() == (
        "# HELP push_failure_time_seconds Last Unix time when changing this group failed.\n"
        "# TYPE push_failure_time_seconds gauge\n"
        'push_failure_time_seconds{instance="",job="etl"} 0\n'
        'push_failure_time_seconds{instance="a",job="sync"} 0\n'
        "# HELP push_time_seconds Last Unix time when changing this group succeeded.\n"
        "# TYPE push_time_seconds gauge\n"
        'push_time_seconds{instance="",job="etl"} 5.0\n'
        'push_time_seconds{instance="a",job="sync"} 7.5\n'
        "# HELP rows Help.\n"
        "# TYPE rows gauge\n"
        'rows{instance="",job="etl",table="a\\"b"} 1.0\n'
        'rows{instance="a",job="sync"} 1.0\n'
    )


def test_an_empty_label_is_none() -> None:
    """As Prometheus has it: or two groups could have the same series."""
    assert labels_of({"job": "etl", "instance": "", "az": "b"}) == (
        ("az", "b"),
        ("job", "etl"),
    )


def test_a_push_replaces_all_or_what_has_its_names() -> None:
    first = pushed(ETL, rows=family(ETL, "rows"), size=family(ETL, "size"))
    new = {"rows": family(ETL, "rows", table="a")}

    put = after_push(first, new, 9, replacing=True)
    post = after_push(first, new, 9, replacing=False)

    assert put.families.keys() == {"rows", PUSHED, FAILED}
    assert post.families.keys() == {"rows", "size", PUSHED, FAILED}
    assert post.families["rows"] == new["rows"]


def test_a_refusal_is_remembered_beside_what_was_pushed_before() -> None:
    refused = after_refusal(pushed(ETL, now=5, rows=family(ETL, "rows")), 9)
    again = after_push(refused, {}, 11, replacing=True)

    assert [*refused.families[PUSHED].series.values()] == ["5"]
    assert [*refused.families[FAILED].series.values()] == ["9"]
    assert [*again.families[FAILED].series.values()] == ["9"]
    assert [*after_refusal(ETL, 9).families[PUSHED].series.values()] == ["0"]


@pytest.mark.parametrize(
    ("there", "new", "why"),
    [
        (("m", "gauge"), ("m", "counter"), "m is of type counter, but gauge in"),
        (("m", "histogram"), ("m_sum", "gauge"), "names with the histogram m"),
        (("m", "histogram"), ("m_bucket", "gauge"), "names with the histogram m"),
        (("m", "summary"), ("m_count", "gauge"), "names with the summary m"),
        (("m_count", "gauge"), ("m", "summary"), "shares names with m_count"),
        (("m_bucket", "gauge"), ("m", "histogram"), "shares names with m_bucket"),
    ],
)
def test_what_is_at_odds_with_another_group_is_a_conflict(
    there: tuple[str, str], new: tuple[str, str], why: str
) -> None:
    groups = Groups([one(ETL, *there)])

    other, own = one(SYNC, *new), one(ETL, *new)

    assert why in groups.conflict(other)
    # In its own group it takes the place of what is there.
    assert groups.conflict(own) == ""


@pytest.mark.parametrize(
    ("name", "other"), [("m", "n"), ("m_bucket", "m"), ("m", "m_sum_total")]
)
def test_names_that_are_only_alike_are_none(name: str, other: str) -> None:
    groups = Groups([one(ETL, name, "summary")])

    assert groups.conflict(one(SYNC, other, "summary")) == ""


def test_families_of_one_push_may_be_at_odds_too() -> None:
    both = {
        "m": family(ETL, "m_sum", "histogram"),
        "m_sum": family(ETL, "m_sum", "gauge", x="1"),
    }

    assert "shares names" in Groups().conflict(
        after_push(ETL, both, 5.0, replacing=True)
    )


def test_a_series_has_one_group() -> None:
    """Labels of a series and of a group are the same to Prometheus."""
    groups = Groups([pushed(ETL, rows=family(ETL, "rows", region="eu"))])
    other = Group(labels=(("job", "etl"), ("region", "eu")), job="etl:eu")

    conflict = groups.conflict(pushed(other, rows=family(other, "rows")))

    assert conflict == (
        'rows{instance="",job="etl",region="eu"} is pushed by another group: '
        '{job="etl"}'
    )


def test_a_group_that_is_dropped_leaves_nothing() -> None:
    groups = Groups([pushed(ETL, rows=family(ETL, "rows"))])

    groups.drop(ETL.labels)
    groups.drop(ETL.labels)

    assert groups.page() == b""
    assert groups.size == 0
    assert groups.conflict(pushed(SYNC, rows=family(SYNC, "rows", "counter"))) == ""


def test_the_size_is_never_less_than_the_page() -> None:
    groups = Groups(
        [
            pushed(ETL, rows=family(ETL, "rows", table="ä")),
            pushed(SYNC, rows=family(SYNC, "rows")),
        ]
    )

    assert len(groups.page()) <= groups.size < 2 * len(groups.page())


def test_a_nul_character_in_a_label_conflicts() -> None:
    """It separates labels where the groups are stored."""
    group = Group(labels=(("instance", "a\0b"), ("job", "etl")), job="etl")

    assert "a NUL character is in a grouping label" in Groups().conflict(group)


def test_a_family_stays_while_another_group_has_it() -> None:
    groups = Groups()
    groups.put(pushed(ETL, rows=family(ETL, "rows")))
    groups.put(pushed(SYNC, rows=family(SYNC, "rows")))

    groups.drop(ETL.labels)
    groups.drop(ETL.labels)

    assert "rows{" in groups.page().decode()
    assert [group.job for group in groups] == [SYNC.job]
