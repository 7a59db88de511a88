"""The YAML writer has the output of PyYAML's."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from afterrun_exporter.rulegen import yaml_writer

#: Text that PyYAML quotes, breaks or writes as a block.
_AWKWARD = [
    *("", "yes", "Null", "oN", "1:30", "1e3", "- a", "a: b", "# c", " lead", "trail "),
    *(
        "a\tb",
        "= x",
        '{{ template "x" . }}',
        "two\nlines\n",
        "\n\n",
        "a\x85b",
        "é" * 50,
    ),
    *("a b " * 40, "x" * 120, "https://a.example/" + "x" * 90, "long " * 70),
]
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.text("ab1:/= \"@.-_#'\n\\{}[]~?!,&*|>%`é", max_size=110),
    st.sampled_from(_AWKWARD),
)
_DATA = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_SCALARS, inner, max_size=4)
    ),
    max_leaves=20,
)


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, configured as the generated files need it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        return super().increase_indent(flow, False)


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _expected(data: Any) -> str:
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


@given(_DATA)
def test_any_data_is_written_as_pyyaml_writes_it(data: Any) -> None:
    expected = _expected(data)
    if data and isinstance(data, dict | list) and expected.endswith("\n...\n"):
        # The end of a document need not be marked.
        expected = expected.removesuffix("...\n")

    assert yaml_writer.dump(data) == expected


def test_a_list_that_is_there_twice_is_written_once() -> None:
    """Tests of inhibit rules repeat their alerts, which take most of the file."""
    alerts = [{"alertname": "AfterRunJobMissed"}]
    data = {"firing": alerts, "expected": {"muted": alerts}}

    assert yaml_writer.dump(data) == _expected(data)
    assert yaml_writer.dump(data).count("AfterRunJobMissed") == 1


def test_pyyaml_is_asked_once_for_equal_text(monkeypatch: Any) -> None:
    """A matcher of all receivers is written as often as there are receivers."""
    documents: list[Any] = []
    write = yaml.dump

    def counting(data: Any, **options: Any) -> str:
        documents.append(data)
        return str(write(data, **options))

    monkeypatch.setattr(yaml, "dump", counting)
    matcher = 'alertname =~ "' + "|".join(f"AfterRunAlert{n}" for n in range(9)) + '"'
    routes = [
        {"matchers": [f'job_name = "job-{n}"', matcher], "receiver": f"job-{n}"}
        for n in range(500)
    ]

    text = yaml_writer.dump({"routes": routes})

    assert text.count("job_name = ") == 500
    assert len(documents) <= 1


@given(st.dictionaries(_SCALARS, _DATA, min_size=1, max_size=4))
def test_a_constant_mapping_is_written_like_any_other(data: dict[Any, Any]) -> None:
    """At every indent, and in a document with aliases."""
    constant = yaml_writer.Constant(data)
    marked: dict[str, Any] = {"x": [constant], "y": {"z": [constant]}, "end": "a"}
    expected = {"x": [data], "y": {"z": [deepcopy(data)]}, "end": "a"}
    assert yaml_writer.dump(marked) == _expected(expected)

    shared = ["a"]
    marked = {"x": [constant], "y": shared, "end": shared}
    expected = {"x": [data], "y": shared, "end": shared}
    assert yaml_writer.dump(marked) == _expected(expected)


def test_a_constant_mapping_is_laid_out_once(monkeypatch: Any) -> None:
    """A change of one receiver of 2,000 writes the file of all."""
    receivers = [yaml_writer.Constant({"name": f"job-{n}"}) for n in range(500)]
    text = yaml_writer.dump({"receivers": receivers})
    pairs: list[Any] = []
    pair = yaml_writer._pair

    def counting(*arguments: Any) -> Any:
        pairs.append(arguments)
        return pair(*arguments)

    monkeypatch.setattr(yaml_writer, "_pair", counting)

    assert yaml_writer.dump({"receivers": receivers}) == text
    assert len(pairs) == 1
