"""The rows of `panels` in Grafana's words: the one home of the Grafana SDK."""

import json
from collections.abc import Iterator
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphDrawStyle, LegendDisplayMode, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

from contracts.dashboards import DashboardUid
from contracts.metric_names import AGENT_REPLICA_UP, LABEL_REGION, LABEL_SLO, RULE_SLO_INFO
from grafana.panels import Look, Panel, Row, fleet_rows

TITLE = "Trimtab fleet"
DATASOURCE_UID = "trimtab-prometheus"
"""Given to the data source by our provisioning; a dashboard that names it works without being edited."""
PANEL_WIDTH = 8
"""Three to a row: readable on a laptop."""
PANEL_HEIGHT = 8
_SOURCE = DataSourceRef(type_val="prometheus", uid=DATASOURCE_UID)
_RED, _YELLOW, _GREEN = "red", "yellow", "green"

AnyPanel = timeseries.Panel | stat.Panel


def render_dashboard() -> str:
    """`fleet.json`, ready for Grafana's provisioning; the same code always gives the same bytes."""
    fleet = (
        dashboard.Dashboard(TITLE)
        .uid(DashboardUid.FLEET)
        .tags(["trimtab"])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(_variable(LABEL_REGION, f"label_values({AGENT_REPLICA_UP}, {LABEL_REGION})"))
        .with_variable(_variable(LABEL_SLO, f"label_values({RULE_SLO_INFO}, {LABEL_SLO})"))
    )
    ids = count(1)
    for row in fleet_rows():
        _add_row(fleet, row, ids)
    return json.dumps(fleet.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _add_row(fleet: dashboard.Dashboard, row: Row, ids: Iterator[int]) -> None:
    """A collapsed row holds its panels itself, an open one is followed by them; that is how Grafana stores it."""
    heading = dashboard.Row(row.title).collapsed(row.collapsed).id(next(ids))
    panels = [_panel(panel).id(next(ids)) for panel in row.panels]
    if row.collapsed:
        for panel in panels:
            heading.with_panel(panel)
    fleet.with_row(heading)
    if not row.collapsed:
        for panel in panels:
            fleet.with_panel(panel)


def _panel(panel: Panel) -> AnyPanel:
    drawn: AnyPanel = _number(panel) if panel.look is Look.NUMBER else _lines(panel)
    drawn.title(panel.title).description(panel.description).unit(panel.unit.value).datasource(_SOURCE)
    drawn.height(PANEL_HEIGHT).span(PANEL_WIDTH)
    for index, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + index))
        drawn.with_target(target)
    return drawn


def _number(panel: Panel) -> stat.Panel:
    drawn = stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if panel.alarming_below is not None:
        red_below, yellow_below = panel.alarming_below
        steps = [
            Threshold(value=None, color=_RED),
            Threshold(value=red_below, color=_YELLOW),
            Threshold(value=yellow_below, color=_GREEN),
        ]
        drawn.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return drawn


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = (
        timeseries.Panel()
        .draw_style(GraphDrawStyle.LINE)
        .line_width(1)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))
    )
    if panel.look is Look.STACKED:
        drawn.fill_opacity(25).stacking(common.StackingConfig().mode(StackingMode.NORMAL)).min(0)
    return drawn


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name)
        .query(query)
        .datasource(_SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )
