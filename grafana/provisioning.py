"""Two files that make a fresh Grafana show our dashboards without a click: its data source and where dashboards lie."""

from dataclasses import dataclass

import yaml

from grafana.render import DATASOURCE_NAME, DATASOURCE_UID

HEADER = "# Rendered by `python -m grafana render`: edit grafana/provisioning.py instead.\n"
SCRAPE_INTERVAL = "5s"
"""Grafana's `$__rate_interval` is four of these: it has to know how often Prometheus scrapes."""
RELOAD_S = 30


@dataclass(frozen=True, slots=True)
class GrafanaSettings:
    """Where Grafana finds Prometheus and the dashboard files."""

    prometheus_url: str
    dashboards_dir: str
    """As Grafana sees it."""


def render_datasources(settings: GrafanaSettings) -> str:
    """`provisioning/datasources/trimtab.yml`."""
    source = {
        "name": DATASOURCE_NAME,
        "uid": DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": settings.prometheus_url,
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": SCRAPE_INTERVAL, "httpMethod": "POST"},
    }
    return _render({"apiVersion": 1, "datasources": [source]})


def render_providers(settings: GrafanaSettings) -> str:
    """`provisioning/dashboards/trimtab.yml`."""
    provider = {
        "name": "trimtab",
        "folder": "Trimtab",
        "type": "file",
        "allowUiUpdates": False,
        "updateIntervalSeconds": RELOAD_S,
        "options": {"path": settings.dashboards_dir},
    }
    return _render({"apiVersion": 1, "providers": [provider]})


def _render(document: dict[str, object]) -> str:
    return HEADER + yaml.safe_dump(document, sort_keys=False)
