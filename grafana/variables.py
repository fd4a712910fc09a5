"""The choices at the top of a dashboard, as Grafana asks Prometheus for them."""

from grafana.model import Variable
from slo_rules import promql

DATASOURCE_VARIABLE = "datasource"


def selector_of(variable: Variable) -> str:
    """The series whose label values are the choices; it may name other variables."""
    return promql.selector(variable.metric, *variable.matchers)


def definition_of(variable: Variable) -> str:
    """`label_values(metric{…}, label)`."""
    return f"label_values({selector_of(variable)}, {variable.label})"
