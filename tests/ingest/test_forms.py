"""Fields of forms whose names have brackets in any places."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.ingest.forms import fields_of

NAMES = st.builds(
    "".join,
    st.lists(
        st.sampled_from(["a", "metrics", "metadata", "status", "[", "]", "[]", "[a]"]),
        max_size=4,
    ),
)
VALUES = st.sampled_from(["1", "x", "", "{}", "[1]", '{"a":1}', "null", "fail"])
PLACES = ("metrics", "metadata")


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_any_brackets_are_read_and_leave_metrics_and_metadata_objects(
    pairs: list[tuple[str, str]],
) -> None:
    """A list or a text of that name is only there if nothing is inside of it."""
    fields = fields_of(pairs)

    inside = {
        place: any(name.startswith(f"{place}[a]") for name, _ in pairs)
        for place in PLACES
    }
    for place in PLACES:
        assert isinstance(fields.get(place, {}), dict) or not inside[place]
