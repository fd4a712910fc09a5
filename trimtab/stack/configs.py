"""Configuration files of the programs we did not write: Prometheus, Alertmanager and Envoy.

Replicas and agents are found through the controller (HTTP service discovery), so that a replica started by a scale-out is
scraped within two refreshes without touching a file. Everything else is known before the start.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from alerts.config import rendered_files
from alerts.settings import AlertmanagerSettings, ControllerWebhook
from contracts.metric_names import JOB_AGENTS, JOB_CONTROLLER, JOB_ENVOY, JOB_PROMETHEUS, JOB_REPLICAS
from controller.drivers.envoy_bootstrap import GatewaySettings, render_bootstrap
from trimtab.stack.settings import Layout, RegionLayout

EVALUATION_S = 15
"""Compiled rules speak about minutes; four evaluations a minute are enough to see one begin."""
DISCOVERY_REFRESH_S = 2
"""A started replica should be scraped before the verification window of its scale-out is half over."""


def prometheus_config(layout: Layout) -> str:
    """prometheus.yml: short intervals, discovery through the controller, rules and alerting in place."""
    config = {
        "global": {
            "scrape_interval": f"{layout.settings.scrape_s}s",
            "scrape_timeout": f"{layout.settings.scrape_s}s",
            "evaluation_interval": f"{EVALUATION_S}s",
        },
        "rule_files": [str(layout.rules_file.parent / "*.yml")],
        "alerting": {"alertmanagers": [_static(_target(layout.alertmanager.url))]},
        "scrape_configs": [
            {"job_name": JOB_REPLICAS, "http_sd_configs": [_discovery(layout, "replicas")]},
            {"job_name": JOB_AGENTS, "http_sd_configs": [_discovery(layout, "agents")]},
            {"job_name": JOB_CONTROLLER, "static_configs": [_targets(_target(layout.controller.url))]},
            {"job_name": JOB_PROMETHEUS, "static_configs": [_targets(_target(layout.prometheus.url))]},
            {
                "job_name": JOB_ENVOY,
                "metrics_path": "/stats/prometheus",
                "params": {"usedonly": [""]},  # names that never moved would be most of the answer
                "static_configs": [
                    {"targets": [_target(region.gateway_admin.url)], "labels": {"gateway": str(region.region)}}
                    for region in layout.regions
                ],
            },
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def alertmanager_files(layout: Layout, token_file: Path) -> Mapping[str, str]:
    """alertmanager.yml and its templates: everything goes to the controller's webhook, as a signal.

    Nobody is paged on a try-out, and its links lead to the expression in its own Prometheus: there is no Grafana in it.
    """
    webhook = ControllerWebhook(url=f"{layout.controller.url}/api/v1/alerts", token_file=str(token_file))
    return rendered_files(AlertmanagerSettings(webhook))


def envoy_bootstrap(layout: Layout, region: RegionLayout) -> str:
    """The static configuration of one region's gateway; JSON, as Envoy reads it."""
    bootstrap = render_bootstrap(
        GatewaySettings(
            region=region.region,
            address=region.gateway.address,
            port=region.gateway.port,
            admin_address=region.gateway_admin.address,
            admin_port=region.gateway_admin.port,
            eds_dir=str(layout.eds_dir(region)),
        )
    )
    return json.dumps(bootstrap, indent=1)


def _discovery(layout: Layout, what: str) -> Mapping[str, str]:
    return {
        "url": f"{layout.controller.url}/api/v1/discovery/{what}",
        "refresh_interval": f"{DISCOVERY_REFRESH_S}s",
    }


def _static(target: str) -> Mapping[str, object]:
    return {"static_configs": [_targets(target)]}


def _targets(target: str) -> Mapping[str, list[str]]:
    return {"targets": [target]}


def _target(url: str) -> str:
    return url.removeprefix("http://")
