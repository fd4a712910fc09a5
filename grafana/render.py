"""Dashboards in Grafana's words: the one home of the Grafana SDK.

The same code always gives the same bytes. What the SDK's builders do not know (how an annotation is worded) is added to
their output, in one place.
"""

import json
from collections.abc import Iterator
from itertools import count

from grafana_foundation_sdk.builders import dashboard as built
from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.text import TextMode

from grafana.drawn import DATASOURCE, AnyPanel, drawn
from grafana.layout import Area, PlacedRow, place
from grafana.model import Annotation, Dashboard, Panel, Variable, Words
from grafana.variables import DATASOURCE_VARIABLE, definition_of

DATASOURCE_UID = "trimtab-prometheus"
"""Given to the data source by our provisioning, and chosen at first; any other Prometheus can be chosen instead."""
DATASOURCE_NAME = "Trimtab Prometheus"
TAG = "trimtab"
ALL = "$__all"
"""Grafana's own word for every value of a variable."""


def file_name(dashboard: Dashboard) -> str:
    """`fleet.json` for `trimtab-fleet`."""
    return f"{dashboard.uid.removeprefix('trimtab-')}.json"


def render(dashboard: Dashboard) -> str:
    """JSON, ready for Grafana's provisioning."""
    page = (
        built.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.question)
        .tags([TAG])
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            built.DashboardLink("Trimtab")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .with_variable(_datasource())
        .annotations([_annotation(annotation) for annotation in dashboard.annotations])
    )
    for variable in dashboard.variables:
        page.with_variable(_variable(variable))
    ids = count(1)
    for row in place(dashboard):
        _add_row(page, row, ids)
    document = json.loads(json.dumps(page.build(), cls=JSONEncoder))
    for annotation, written in zip(dashboard.annotations, document["annotations"]["list"], strict=True):
        written.update(_wording(annotation))
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _add_row(page: built.Dashboard, placed: PlacedRow, ids: Iterator[int]) -> None:
    """A collapsed row holds its panels itself, an open one is followed by them; that is how Grafana stores it."""
    heading = built.Row(placed.row.title).collapsed(placed.row.collapsed).id(next(ids)).grid_pos(_cells(placed.heading))
    panels = [_panel(each.panel).id(next(ids)).grid_pos(_cells(each.area)) for each in placed.panels]
    if placed.row.collapsed:
        for panel in panels:
            heading.with_panel(panel)
    page.with_row(heading)
    if not placed.row.collapsed:
        for panel in panels:
            page.with_panel(panel)


def _panel(panel: Panel | Words) -> AnyPanel | text.Panel:
    if isinstance(panel, Panel):
        return drawn(panel)
    words = text.Panel().mode(TextMode.MARKDOWN).content(panel.markdown.strip())
    return words.title(panel.title).description(panel.description)


def _cells(area: Area) -> GridPos:
    return GridPos(h=area.height, w=area.width, x=area.x, y=area.y)


def _datasource() -> built.DatasourceVariable:
    ours = VariableOption(selected=True, text=DATASOURCE_NAME, value=DATASOURCE_UID)
    return built.DatasourceVariable(DATASOURCE_VARIABLE).label("Prometheus").type("prometheus").current(ours)


def _variable(variable: Variable) -> built.QueryVariable:
    chosen = (
        built.QueryVariable(variable.label)
        .label(variable.label)
        .query(definition_of(variable))
        .datasource(DATASOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
        .multi(variable.several)
        .include_all(variable.several)
    )
    if variable.several:
        chosen.all_value(".*").current(VariableOption(selected=True, text=["All"], value=[ALL]))
    return chosen


def _annotation(annotation: Annotation) -> built.AnnotationQuery:
    return (
        built.AnnotationQuery()
        .name(annotation.name)
        .datasource(DataSourceRef(type_val=DATASOURCE.type_val, uid=DATASOURCE.uid))
        .expr(annotation.expr)
        .enable(enable=True)
        .icon_color(annotation.colour.value)
    )


def _wording(annotation: Annotation) -> dict[str, object]:
    return {"titleFormat": annotation.title, "useValueForTime": annotation.at_value}
