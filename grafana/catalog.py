"""Every dashboard, in the order in which a person on call reads them."""

from grafana.dashboards.fleet import fleet
from grafana.dashboards.loop import loop
from grafana.dashboards.region import region
from grafana.dashboards.replica import replica
from grafana.dashboards.serving import serving
from grafana.dashboards.slo import slo
from grafana.model import Dashboard


def dashboards() -> tuple[Dashboard, ...]:
    """All six."""
    return (fleet(), slo(), region(), replica(), loop(), serving())
