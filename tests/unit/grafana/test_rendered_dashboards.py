"""The JSON that Grafana gets. No Grafana is at hand here: structure is checked by the SDK's builders and by these tests."""

import json
import re
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard as ReadBack

from contracts import metric_names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import Region, SloId
from grafana.__main__ import main
from grafana.catalog import dashboards
from grafana.layout import place
from grafana.model import COLUMNS
from grafana.provisioning import GrafanaSettings, render_datasources, render_providers
from grafana.render import DATASOURCE_UID, render
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

PAGES = {page.uid: json.loads(render(page)) for page in dashboards()}
MODELS = {page.uid: page for page in dashboards()}


def panels(page: dict) -> list[dict]:
    return [panel for row in page["panels"] for panel in (row, *(row.get("panels") or ()))]


def shown(page: dict) -> list[dict]:
    return [panel for panel in panels(page) if panel["type"] != "row"]


@pytest.mark.parametrize("uid", DashboardUid)
def test_ids_are_unique_and_every_panel_has_a_description(uid):
    ids = [panel["id"] for panel in panels(PAGES[uid])]
    assert len(ids) == len(set(ids))
    assert all(panel["description"] for panel in shown(PAGES[uid]))


@pytest.mark.parametrize("uid", DashboardUid)
def test_no_two_panels_share_a_cell_and_none_leaves_the_grid(uid):
    taken: set[tuple[int, int]] = set()
    for panel in panels(PAGES[uid]):
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert len(cells) == at["w"] * at["h"] > 0
        assert at["x"] >= 0
        assert at["x"] + at["w"] <= COLUMNS
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("uid", DashboardUid)
def test_panels_are_where_the_layout_puts_them(uid):
    """The SDK moves what lies at its idea of the origin; ours must come through unchanged."""
    wanted = [each.area for row in place(MODELS[uid]) for each in row.panels]
    drawn = [(at["x"], at["y"], at["w"], at["h"]) for at in (panel["gridPos"] for panel in shown(PAGES[uid]))]
    assert drawn == [(area.x, area.y, area.width, area.height) for area in wanted]


@pytest.mark.parametrize("uid", DashboardUid)
def test_every_query_goes_to_the_chosen_data_source_under_its_own_letter(uid):
    queries = [panel for panel in shown(PAGES[uid]) if panel["type"] != "text"]
    for panel in queries:
        assert panel["datasource"]["uid"] == "${datasource}"
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)) != []
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    written = [query.expr for panel in MODELS[uid].panels for query in panel.queries]
    assert [target["expr"] for panel in queries for target in panel["targets"]] == written


@pytest.mark.parametrize("uid", DashboardUid)
def test_the_data_source_comes_first_and_ours_is_chosen(uid):
    first, *others = PAGES[uid]["templating"]["list"]
    assert (first["name"], first["type"], first["current"]["value"]) == ("datasource", "datasource", DATASOURCE_UID)
    assert [each["name"] for each in others] == [variable.label for variable in MODELS[uid].variables]
    assert {each["datasource"]["uid"] for each in others} == {"${datasource}"}


@pytest.mark.parametrize("uid", DashboardUid)
def test_every_page_links_to_all_of_ours_with_choices_and_time_kept(uid):
    (link,) = PAGES[uid]["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["trimtab"],
        True,
        True,
    )
    assert PAGES[uid]["tags"] == ["trimtab"]
    assert PAGES[uid]["uid"] == uid


@pytest.mark.parametrize("uid", DashboardUid)
def test_numbers_have_colours_of_their_own(uid):
    """Grafana's own steps turn everything above 80 red."""
    for panel in shown(PAGES[uid]):
        if panel["type"] == "stat":
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
            assert 80 not in [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


@pytest.mark.parametrize("uid", DashboardUid)
def test_the_sdk_reads_back_what_it_wrote(uid):
    assert ReadBack.from_json(PAGES[uid]).uid == uid


def test_a_series_leads_to_the_page_about_it_with_time_and_data_source():
    budget = next(panel for panel in shown(PAGES[DashboardUid.FLEET]) if panel["title"] == "Error budget left")
    (link,) = budget["fieldConfig"]["defaults"]["links"]
    assert link["url"] == (
        "/d/trimtab-slo?var-datasource=${datasource}&var-slo=${__field.labels.slo}&var-region=${__field.labels.region}"
        "&${__url_time_range}"
    )


def test_an_action_is_marked_at_the_time_that_is_its_value():
    marks = {mark["name"]: mark for mark in PAGES[DashboardUid.LOOP]["annotations"]["list"]}
    assert marks["Actions and their verdicts"]["useValueForTime"]
    assert marks["Actions and their verdicts"]["titleFormat"] == "{{kind}} {{subject}} {{verdict}}"
    assert not marks["Pages"]["useValueForTime"]


def test_every_alert_links_to_the_dashboard_that_explains_it():
    alerts = compile_slos((Slo(SloId("speech"), 0.95, ExactCounters(0.2)),), (Region("eu-west"),)).alerts
    links = {alert.alert: dict(alert.annotations)["dashboard"] for alert in alerts}
    for alert, link in links.items():
        uid, _, query = link.removeprefix("/d/").partition("/")
        chosen = {part.partition("=")[0].removeprefix("var-") for part in query.removeprefix("?").split("&") if part}
        assert chosen <= {variable.label for variable in MODELS[DashboardUid(uid)].variables}, alert
    assert links[metric_names.ALERT_SLO_BURN].startswith(f"/d/{DashboardUid.SLO}/?var-slo=speech&var-region=")
    assert links[metric_names.ALERT_REPLICA_DOWN].startswith(f"/d/{DashboardUid.REPLICA}/?")
    assert links[metric_names.ALERT_LOOP_STUCK] == f"/d/{DashboardUid.LOOP}/"


def test_a_fresh_grafana_finds_prometheus_and_the_dashboards():
    settings = GrafanaSettings(prometheus_url="http://prometheus:9090", dashboards_dir="/dashboards")
    (source,) = yaml.safe_load(render_datasources(settings))["datasources"]
    (provider,) = yaml.safe_load(render_providers(settings))["providers"]
    assert (source["uid"], source["url"]) == (DATASOURCE_UID, "http://prometheus:9090")
    assert provider["options"]["path"] == "/dashboards"


def test_the_command_writes_the_dashboards_and_their_provisioning(capsys, tmp_path):
    assert main(["render", "--dashboard", "trimtab-loop"]) == 0
    assert json.loads(capsys.readouterr().out) == PAGES[DashboardUid.LOOP]
    assert main(["render", "--output", str(tmp_path), "--prometheus-url", "http://p:1"]) == 0
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.is_file())
    assert written == [
        *("fleet.json", "loop.json"),
        *("provisioning/dashboards/trimtab.yml", "provisioning/datasources/trimtab.yml"),
        *("region.json", "replica.json", "serving.json", "slo.json"),
    ]


def test_the_documentation_names_every_dashboard_and_shows_pictures_that_are_there():
    document = Path(__file__).resolve().parents[3] / "docs" / "dashboards.md"
    text = document.read_text(encoding="utf-8")
    for dashboard in dashboards():
        assert f"| {dashboard.title} | {dashboard.question} |" in text
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) == 2
    for picture in pictures:
        assert 0 < (document.parent / picture).stat().st_size < 300_000
