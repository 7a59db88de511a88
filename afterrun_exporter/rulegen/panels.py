"""Data model of dashboards, independent of Grafana's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """The type of a panel."""

    STAT = "stat"
    LINES = "lines"
    BARS = "bars"
    STATES = "states"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL query and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """The text for a value, by default in the colour of text."""

    text: str
    colour: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: a label of the series, or their value."""

    #: "Value" for the value.
    label: str
    title: str
    unit: str = ""
    texts: Mapping[str, Text] = field(default_factory=dict)
    #: The URL of a link, with Grafana's variables.
    link: str = ""
    #: The title of the link.
    link_title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. A row of the dashboard is 24 wide."""

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    description: str = ""
    unit: str = ""
    #: The range of the axis.
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    width: int = 12
    height: int = 8
    #: Texts for certain values.
    texts: Mapping[str, Text] = field(default_factory=dict)
    #: Colours of series, by a regular expression of their legends.
    colours: Mapping[str, str] = field(default_factory=dict)
    #: Series that are red from 1 on and otherwise green, also a regular expression.
    red: str = ""
    #: Series that are limits, drawn dashed and red, also a regular expression.
    limits: str = ""
    #: The columns of a table, in order.
    columns: tuple[Column, ...] = ()
    #: The title of the sort column of a table, and its direction.
    sorted_by: str = ""
    descending: bool = False
    #: The text for an empty result.
    empty: str = ""
    #: A variable; the panel is repeated for each of its values.
    repeat: str = ""
    #: True if a stat shows the name of its series instead of the value.
    shows_legend: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A selectable variable of a dashboard."""

    name: str
    title: str
    #: label_values(series, label); "" for free text.
    query: str = ""
    description: str = ""
    #: True if several values can be selected; the default is all.
    many: bool = False
    #: The regular expression for "all"; "" for all values of the query.
    everything: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
