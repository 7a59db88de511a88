"""Jobs that depend on themselves are all told of, whatever they look like."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.config.dependencies import circles

names = st.sampled_from("abcdefgh")
#: What each depends on, which may be somebody nobody knows.
graphs = st.dictionaries(names, st.lists(names, max_size=4))


def told(graph: dict[str, list[str]]) -> list[list[str]]:
    """Return the circles that are found, the first job at both ends."""
    messages = (finding.message for finding in circles(graph))
    return [one.split(": ")[1].split(";")[0].split(" -> ") for one in messages]


def reached(graph: dict[str, list[str]], start: str) -> set[str]:
    """Return what *start* depends on, however far away."""
    found: set[str] = set()
    ahead = [*graph.get(start, ())]
    while ahead:
        if (name := ahead.pop()) not in found:
            found.add(name)
            ahead += graph.get(name, ())
    return found


@given(graphs)
def test_each_circle_is_one(graph: dict[str, list[str]]) -> None:
    """Step by step, and nobody is told of twice."""
    found = told(graph)

    assert all(two in graph[one] for circle in found for one, two in pairwise(circle))
    inside = [name for circle in found for name in circle[1:]]
    assert len(inside) == len(set(inside))


@given(graphs)
def test_no_group_of_jobs_is_left_out(graph: dict[str, list[str]]) -> None:
    """Whoever depends on itself is in a circle, or in one group with one."""
    inside = {name for circle in told(graph) for name in circle}

    for name in graph:
        ahead = reached(graph, name)
        if name in ahead:
            assert any(name in reached(graph, one) for one in inside & ahead), name
