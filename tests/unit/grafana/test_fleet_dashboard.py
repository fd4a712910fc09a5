"""The fleet dashboard: it covers what it must, every query is valid PromQL, and the variables reach the queries."""

import json
import subprocess

import pytest
import yaml
from grafana_foundation_sdk.models import units

from contracts import metric_names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import Region, SloId
from grafana.__main__ import main
from grafana.dashboard import DATASOURCE_UID, render_dashboard
from grafana.panels import Unit, fleet_rows
from grafana.provisioning import GrafanaSettings, render_datasources, render_providers
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

PANELS = [panel for row in fleet_rows() for panel in row.panels]
EXPRESSIONS = [query.expr for panel in PANELS for query in panel.queries]


def dashboard() -> dict:
    return json.loads(render_dashboard())


def drawn_panels() -> list[dict]:
    top = dashboard()["panels"]
    return [panel for row in top for panel in (row, *(row.get("panels") or ()))]


def test_every_alert_links_to_the_dashboard_that_explains_it():
    alerts = compile_slos((Slo(SloId("speech"), 0.95, ExactCounters(0.2)),), (Region("eu-west"),)).alerts
    links = {alert.alert: dict(alert.annotations)["dashboard"] for alert in alerts}
    assert {link.split("/")[2] for link in links.values()} <= set(DashboardUid)
    assert links[metric_names.ALERT_SLO_BURN].startswith(f"/d/{DashboardUid.SLO}/?var-slo=speech&var-region=")
    assert links[metric_names.ALERT_REPLICA_DOWN].startswith(f"/d/{DashboardUid.REPLICA}/?")
    assert links[metric_names.ALERT_LOOP_STUCK] == f"/d/{DashboardUid.LOOP}/"


def test_every_panel_of_every_row_is_drawn_once_with_its_own_id():
    drawn = [panel for panel in drawn_panels() if panel["type"] != "row"]
    assert sorted(panel["title"] for panel in drawn) == sorted(panel.title for panel in PANELS)
    ids = [panel["id"] for panel in drawn_panels()]
    assert len(ids) == len(set(ids))


def test_every_query_that_was_written_is_drawn_against_our_data_source():
    drawn = [panel for panel in drawn_panels() if panel["type"] != "row"]
    assert sorted(target["expr"] for panel in drawn for target in panel["targets"]) == sorted(EXPRESSIONS)
    assert {panel["datasource"]["uid"] for panel in drawn} == {DATASOURCE_UID}


def test_gpus_are_folded_away_for_hosts_without_one():
    rows = [panel for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows if row["collapsed"]] == ["GPUs"]


def test_region_and_slo_can_be_chosen_and_are_used():
    variables = [variable["name"] for variable in dashboard()["templating"]["list"]]
    assert variables == ["region", "slo"]
    for variable in variables:
        assert any(f'=~"${variable}"' in expression for expression in EXPRESSIONS)


@pytest.mark.parametrize(
    "metric",
    [
        metric_names.RULE_BUDGET_REMAINING,
        metric_names.SLO_EVENTS_TOTAL,
        f"{metric_names.TTS_REQUEST_SECONDS}_bucket",
        metric_names.TTS_PROFILE_INFO,
        metric_names.AGENT_REPLICA_STATE,
        metric_names.AGENT_REFLEXES_TOTAL,
        metric_names.CONTROLLER_DECISIONS_TOTAL,
        metric_names.CONTROLLER_ACTIONS_TOTAL,
        metric_names.CONTROLLER_REGION_WEIGHT,
        metric_names.GPU_UTILIZATION_RATIO,
        metric_names.CONTROLLER_TICKS_TOTAL,
    ],
)
def test_what_on_call_needs_is_shown(metric):
    assert any(metric in expression for expression in EXPRESSIONS)


def test_units_are_ids_that_grafana_knows():
    known = {value for value in vars(units).values() if isinstance(value, str)}
    assert {unit.value for unit in Unit} <= known


@pytest.mark.prometheus
def test_prometheus_parses_every_expression(tmp_path):
    rules = [
        {"record": f"panel:{index}", "expr": expression.replace("$__rate_interval", "1m")}
        for index, expression in enumerate(EXPRESSIONS)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    result = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(EXPRESSIONS)} rules found" in result.stdout


def test_a_fresh_grafana_finds_prometheus_and_the_dashboards():
    settings = GrafanaSettings(prometheus_url="http://prometheus:9090", dashboards_dir="/dashboards")
    (source,) = yaml.safe_load(render_datasources(settings))["datasources"]
    (provider,) = yaml.safe_load(render_providers(settings))["providers"]
    assert (source["uid"], source["url"]) == (DATASOURCE_UID, "http://prometheus:9090")
    assert provider["options"]["path"] == "/dashboards"


def test_the_command_writes_the_dashboard_and_its_provisioning(capsys, tmp_path):
    assert main(["render"]) == 0
    assert capsys.readouterr().out == render_dashboard()
    assert main(["render", "--output", str(tmp_path), "--prometheus-url", "http://p:1"]) == 0
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.is_file())
    assert written == ["fleet.json", "provisioning/dashboards/trimtab.yml", "provisioning/datasources/trimtab.yml"]
