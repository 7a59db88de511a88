"""What a dashboard is made of, as data: no Grafana here, and nothing of its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """How a panel shows its queries."""

    STAT = "stat"
    LINES = "lines"
    BARS = "bars"
    STATES = "states"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of Prometheus, and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """What is shown in place of a value; without a colour, in that of text."""

    text: str
    colour: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: a label of the series, or their value."""

    label: str
    title: str
    unit: str = ""
    texts: Mapping[str, Text] = field(default_factory=dict)
    #: Where a click leads: a URL, with Grafana's variables.
    link: str = ""
    #: What the link is called.
    link_title: str = ""


#: The column that has no label.
VALUE = "Value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. A row of the dashboard is 24 wide."""

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    description: str = ""
    unit: str = ""
    #: The range that a share or a switch moves in.
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    width: int = 12
    height: int = 8
    #: What is shown for certain values.
    texts: Mapping[str, Text] = field(default_factory=dict)
    #: Colours of series, by a regular expression of their legends.
    colours: Mapping[str, str] = field(default_factory=dict)
    #: Series that are red from 1 on and green below it; likewise an expression.
    red: str = ""
    #: Series that are limits, drawn dashed and red; likewise an expression.
    limits: str = ""
    #: Of a table: in this order, and no others.
    columns: tuple[Column, ...] = ()
    #: The title of the column that a table is sorted by, and which end comes first.
    sorted_by: str = ""
    descending: bool = False
    #: What is shown when there is nothing to show.
    empty: str = ""
    #: A variable; the panel is there once for each of its values.
    repeat: str = ""
    #: A stat shows what its series is called, not its value.
    shows_legend: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What the reader chooses at the top of a dashboard."""

    name: str
    title: str
    #: label_values(series, label); "" lets the reader type.
    query: str = ""
    description: str = ""
    #: Whether several can be chosen at once, all of them to begin with.
    many: bool = False
    #: The regular expression that "all" stands for; "" for all that is on offer.
    everything: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page of Grafana."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
