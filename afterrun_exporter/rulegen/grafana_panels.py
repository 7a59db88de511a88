"""Conversion of panels to builders of the Grafana SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.builders import common as settings
from grafana_foundation_sdk.builders import (
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    LineInterpolation,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from afterrun_exporter.rulegen.panels import Column, Kind, Panel, Query, Text

#: The selected data source.
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")

_Builder = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel

_INSTANT: Final = frozenset({Kind.STAT, Kind.TABLE})


def build_panel(panel: Panel) -> _Builder:
    """Return the builder for *panel*, without position and id."""
    builder = (
        _shape(panel)
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .span(panel.width)
        .height(panel.height)
    )
    if panel.unit:
        builder.unit(panel.unit)
    if panel.low is not None:
        builder.min(panel.low)
    if panel.high is not None:
        builder.max(panel.high)
    if panel.decimals is not None:
        builder.decimals(panel.decimals)
    if panel.empty:
        builder.no_value(panel.empty)
    if panel.texts:
        builder.mappings([_mapping(panel.texts)])
    if panel.repeat:
        builder.repeat(panel.repeat).repeat_direction("h").max_per_row(2)
    for position, query in enumerate(panel.queries):
        builder.with_target(_target(query, panel.kind, chr(ord("A") + position)))
    return _with_colours(builder, panel)


def _target(query: Query, kind: Kind, ref_id: str) -> prometheus.Dataquery:
    target = (
        prometheus.Dataquery()
        .ref_id(ref_id)
        .datasource(SOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
    )
    if kind is Kind.TABLE:
        target.format(PromQueryFormat.TABLE)
    return target.instant() if kind in _INSTANT else target.range()


def _shape(panel: Panel) -> _Builder:
    """Return an empty builder for the kind of *panel*."""
    match panel.kind:
        case Kind.STAT:
            return _stat(panel)
        case Kind.LINES:
            return (
                timeseries.Panel()
                .draw_style(GraphDrawStyle.LINE)
                # A value is valid until the next scrape.
                .line_interpolation(LineInterpolation.STEP_AFTER)
            )
        case Kind.BARS:
            return (
                timeseries.Panel()
                .draw_style(GraphDrawStyle.BARS)
                .fill_opacity(60)
                .stacking(settings.StackingConfig().mode(StackingMode.NORMAL))
                # Runs are hours apart: a bar of one minute would be invisible.
                .interval("10m")
                .min(0)
            )
        case Kind.STATES:
            return (
                statetimeline.Panel()
                .fill_opacity(70)
                # The colour shows the state; the name is beside the line.
                .show_value(VisibilityMode.NEVER)
            )
        case Kind.TABLE:
            return _table(panel)


def _stat(panel: Panel) -> stat.Panel:
    last = settings.ReduceDataOptions().calcs(["lastNotNull"])
    text_mode = BigValueTextMode.NAME if panel.shows_legend else BigValueTextMode.AUTO
    return (
        stat.Panel()
        .reduce_options(last)
        .text_mode(text_mode)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        # Without thresholds, Grafana shows values from 80 in red.
        .thresholds(_steps("text"))
    )


def _table(panel: Panel) -> table.Panel:
    titles = {column.label: column.title for column in panel.columns}
    builder = (
        table.Panel()
        .filterable(True)
        .thresholds(_steps("text"))
        .with_transformation(
            # Only these columns, without the labels of the scrape.
            DataTransformerConfig(
                id_val="filterFieldsByName",
                options={"include": {"names": list(titles)}},
            )
        )
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {},
                    "renameByName": titles,
                    "indexByName": {label: at for at, label in enumerate(titles)},
                },
            )
        )
    )
    if panel.sorted_by:
        by = settings.TableSortByFieldState()
        by.display_name(panel.sorted_by).desc(panel.descending)
        builder.sort_by([by])
    for column in panel.columns:
        if properties := list(_properties(column)):
            builder.override_by_name(column.title, properties)
    return builder


def _properties(column: Column) -> list[DynamicConfigValue]:
    """Return the overrides of *column*."""
    properties = []
    if column.unit:
        properties.append(DynamicConfigValue("unit", column.unit))
    if column.texts:
        properties.append(DynamicConfigValue("mappings", [_mapping(column.texts)]))
        properties.append(
            DynamicConfigValue("custom.cellOptions", {"type": "color-text"})
        )
    if column.link:
        link = {"title": column.link_title, "url": column.link}
        properties.append(DynamicConfigValue("links", [link]))
    return properties


def _with_colours(builder: _Builder, panel: Panel) -> _Builder:
    for series, colour in panel.colours.items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        _override(builder, series, {"color": fixed})
    if panel.red:
        _override(builder, panel.red, {"thresholds": _steps("green", "red").build()})
    if panel.limits:
        dashed = {"fill": "dash", "dash": [10, 10]}
        red = {"mode": "fixed", "fixedColor": "red"}
        _override(builder, panel.limits, {"color": red, "custom.lineStyle": dashed})
    return builder


def _override(builder: _Builder, series: str, properties: Mapping[str, object]) -> None:
    # Anchored, because "ok" would also match "not ok".
    values = [DynamicConfigValue(key, value) for key, value in properties.items()]
    builder.override_by_regexp(f"/^(?:{series})$/", values)


def _mapping(texts: Mapping[str, Text]) -> ValueMap:
    return ValueMap(
        {
            value: ValueMappingResult(text=text.text, color=text.colour, index=index)
            for index, (value, text) in enumerate(texts.items())
        }
    )


def _steps(below_one: str, from_one: str | None = None) -> dashboard.ThresholdsConfig:
    """Return the colours of values below 1 and from 1 on."""
    steps = [Threshold(value=None, color=below_one)]
    if from_one:
        steps.append(Threshold(value=1, color=from_one))
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
