"""Panels in Grafana's words: one builder per look."""

from typing import assert_never

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
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

from grafana.model import Colour, Link, Look, Panel, Unit
from grafana.states import COLOURED_WORDS
from grafana.variables import DATASOURCE_VARIABLE

DATASOURCE = DataSourceRef(type_val="prometheus", uid=f"${{{DATASOURCE_VARIABLE}}}")
VALUE = "Value"
"""What Grafana calls the column with the sample itself."""
BEGUN = "begun"
"""What we call it where it is a time; the newest comes first."""
LOOKED_AT_ONCE = (Look.NUMBER, Look.TABLE)
"""They show one moment: asking for every moment of the range would be thrown away."""

AnyPanel = timeseries.Panel | stat.Panel | statetimeline.Panel | table.Panel


def drawn(panel: Panel) -> AnyPanel:
    """Everything but the place."""
    draws = _look(panel)
    draws.title(panel.title).description(panel.description).unit(panel.unit.value).datasource(DATASOURCE)
    for index, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + index))
        target.datasource(DATASOURCE)
        if panel.look in LOOKED_AT_ONCE:
            target.instant()
        else:
            target.range()
        if panel.look is Look.TABLE:
            target.format(PromQueryFormat.TABLE)
        draws.with_target(target)
    if panel.links:
        labels = "__data.fields" if panel.look is Look.TABLE else "__field.labels"
        draws.data_links([_link(link, labels) for link in panel.links])
    if panel.repeat is not None:
        draws.repeat(panel.repeat).repeat_direction("h")
    return draws


def _look(panel: Panel) -> AnyPanel:
    match panel.look:
        case Look.LINES:
            return _lines(panel)
        case Look.STACKED:
            return _lines(panel).fill_opacity(25).stacking(common.StackingConfig().mode(StackingMode.NORMAL)).min(0)
        case Look.NUMBER:
            return _number(panel)
        case Look.STATES:
            return _states(panel)
        case Look.TABLE:
            return _table(panel)
    assert_never(panel.look)


def _lines(panel: Panel) -> timeseries.Panel:
    draws = (
        timeseries.Panel()
        .draw_style(GraphDrawStyle.LINE)
        .line_width(1)
        .show_points(VisibilityMode.AUTO)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(show_legend=True))
    )
    for words, colour in COLOURED_WORDS:
        fixed = DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour.value})
        draws.override_by_regexp(f"/(^| )({'|'.join(words)})$/", [fixed])
    if panel.limits is not None:
        draws.thresholds(_thresholds(panel.limits.steps))
        draws.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return draws


def _number(panel: Panel) -> stat.Panel:
    # Without steps of our own Grafana would turn everything above 80 red.
    steps = panel.limits.steps if panel.limits is not None else ((None, Colour.BLUE),)
    return (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .thresholds(_thresholds(steps))
    )


def _states(panel: Panel) -> statetimeline.Panel:
    meaning = {
        str(state.value): ValueMappingResult(text=state.text, color=state.colour.value, index=index)
        for index, state in enumerate(panel.states)
    }
    return (
        statetimeline.Panel()
        .mappings([ValueMap(options=meaning)])
        .merge_values(merge_values=True)
        .show_value(VisibilityMode.AUTO)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(show_legend=True))
    )


def _table(panel: Panel) -> table.Panel:
    """The labels in the order asked for; the sample itself only where it says something."""
    columns = (*panel.columns, VALUE) if panel.unit is Unit.AGO else panel.columns
    chosen = DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}})
    order = {column: index for index, column in enumerate(columns)}
    ordered = DataTransformerConfig(
        id_val="organize",
        options={"excludeByName": {}, "indexByName": order, "renameByName": {VALUE: BEGUN}},
    )
    draws = table.Panel().with_transformation(chosen).with_transformation(ordered)
    if VALUE in columns:
        draws.sort_by([common.TableSortByFieldState().display_name(BEGUN).desc(desc=True)])
    return draws


def _thresholds(steps: tuple[tuple[float | None, Colour], ...]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=start, color=colour.value) for start, colour in steps])
    )


def _link(link: Link, labels: str) -> dashboard.DashboardLink:
    """To the other dashboard, with the same data source and time, and the labels of the series as its variables."""
    chosen = "".join(f"&var-{label}=${{{labels}.{label}}}" for label in link.labels)
    source = f"var-{DATASOURCE_VARIABLE}=${{{DATASOURCE_VARIABLE}}}"
    return dashboard.DashboardLink(link.title).url(f"/d/{link.dashboard}?{source}{chosen}&${{__url_time_range}}")
