"""What the dashboards show: every panel explained, every name known, every query PromQL, every link with somewhere to go."""

import subprocess

import pytest
import yaml
from grafana_foundation_sdk.models import units

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from grafana import states
from grafana.catalog import dashboards
from grafana.dashboards.replica import of_its_gpus
from grafana.model import Colour, Dashboard, Limits, Look, Unit, Words
from grafana.pictures.choices import Choices
from grafana.variables import selector_of
from tests.metric_reader import KNOWN, metrics_in

PAGES = dashboards()
EXPRESSIONS = [
    (page, expression)
    for page in PAGES
    for expression in (
        *(query.expr for panel in page.panels for query in panel.queries),
        *(annotation.expr for annotation in page.annotations),
    )
]
PANELS_MIN, PANELS_MAX = 8, 16


def by_uid(uid: DashboardUid) -> Dashboard:
    return next(page for page in PAGES if page.uid is uid)


def variables(page: Dashboard) -> set[str]:
    return {variable.label for variable in page.variables}


def test_every_uid_that_alerts_may_link_to_has_its_dashboard():
    assert [page.uid for page in PAGES] == list(DashboardUid)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_a_page_is_short_enough_to_be_read_and_explains_every_panel(page):
    everything = [panel for row in page.rows for panel in row.panels]
    assert PANELS_MIN <= len(everything) <= PANELS_MAX
    assert len({panel.title for panel in everything}) == len(everything)
    assert all(len(panel.description) > 15 for panel in everything if not isinstance(panel, Words))
    assert all(row.title.endswith("?") for row in page.rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_every_variable_is_used_and_is_chosen_among_what_those_before_it_left(page):
    asked = [expression for its, expression in EXPRESSIONS if its is page]
    before: set[str] = set()
    for variable in page.variables:
        assert {str(matcher.value).removeprefix("$") for matcher in variable.matchers} <= before
        below = [selector_of(later) for later in page.variables if later is not variable]
        assert any(f"${variable.label}" in text for text in (*asked, *below)), variable.label
        before.add(variable.label)


def test_no_query_names_a_variable_that_its_page_does_not_have():
    for page, expression in EXPRESSIONS:
        everywhere = {"__rate_interval", "__range"}
        used = set(words_after_dollar(expression)) - everywhere
        assert used <= variables(page), expression


def words_after_dollar(expression: str) -> list[str]:
    return [part.split('"')[0].split("]")[0].split(".")[0] for part in expression.split("$")[1:]]


def test_links_lead_to_variables_that_are_there():
    for page in PAGES:
        for panel in page.panels:
            for link in panel.links:
                assert set(link.labels) <= variables(by_uid(link.dashboard)), (panel.title, link)


def test_metrics_are_those_of_the_contract():
    used = {name for _page, expression in EXPRESSIONS for name in metrics_in(expression)}
    used |= {variable.metric for page in PAGES for variable in page.variables}
    assert used - KNOWN == set()


@pytest.mark.parametrize(
    ("uid", "metric"),
    [
        (DashboardUid.FLEET, names.RULE_BUDGET_REMAINING),
        (DashboardUid.FLEET, names.RULE_STATE),
        (DashboardUid.SLO, names.RULE_TIER_THRESHOLD),
        (DashboardUid.SLO, names.RULE_COVERAGE),
        (DashboardUid.SLO, names.RULE_LATENCY_QUANTILE),
        (DashboardUid.SLO, names.SLO_EVENTS_TOTAL),
        (DashboardUid.REGION, names.CONTROLLER_REGION_WEIGHT),
        (DashboardUid.REGION, names.ENVOY_ZONE_REQUESTS_TOTAL),
        (DashboardUid.REPLICA, names.GPU_CONTAINER_INFO),
        (DashboardUid.REPLICA, names.GPU_XID_ERRORS_TOTAL),
        (DashboardUid.REPLICA, names.GPU_CLOCK_EVENT_SECONDS_TOTAL),
        (DashboardUid.REPLICA, names.TTS_PROGRESS_TOTAL),
        (DashboardUid.LOOP, names.CONTROLLER_REFUSALS_TOTAL),
        (DashboardUid.LOOP, names.CONTROLLER_HELPLESS),
        (DashboardUid.LOOP, names.CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS),
        (DashboardUid.LOOP, names.CONTROLLER_AGENT_AGE_SECONDS),
        (DashboardUid.SERVING, names.TTS_CACHE_LOOKUPS_TOTAL),
        (DashboardUid.SERVING, names.TTS_PROFILE_SWITCHES_TOTAL),
    ],
)
def test_what_on_call_looks_for_is_there(uid, metric):
    assert any(metric in expression for page, expression in EXPRESSIONS if page.uid is uid)


def test_actions_and_their_verdicts_are_marked_on_every_page():
    for page in PAGES:
        marks = {annotation.name: annotation for annotation in page.annotations}
        actions = marks["Actions and their verdicts"]
        assert actions.at_value
        assert f"{{{{{names.LABEL_VERDICT}}}}}" in actions.title
        assert 'severity="page"' in marks["Pages"].expr


def test_units_are_ids_that_grafana_knows():
    known = {value for value in vars(units).values() if isinstance(value, str)}
    assert {unit.value for unit in Unit} <= known


def test_panels_of_states_and_tables_say_what_they_need():
    for panel in (panel for page in PAGES for panel in page.panels):
        assert bool(panel.states) == (panel.look is Look.STATES)
        assert bool(panel.columns) == (panel.look is Look.TABLE)


def test_limits_turn_red_on_the_side_of_the_red_value():
    low_is_bad, high_is_bad = Limits(yellow=0.25, red=0.0), Limits(yellow=0.8, red=0.95)
    assert [low_is_bad.colour_of(value) for value in (-0.1, 0.1, 0.3)] == [Colour.RED, Colour.YELLOW, Colour.GREEN]
    assert [high_is_bad.colour_of(value) for value in (0.1, 0.9, 0.95)] == [Colour.GREEN, Colour.YELLOW, Colour.RED]


def test_a_series_is_coloured_by_the_last_word_of_its_name():
    assert states.colour_of_name("speech good") is Colour.GREEN
    assert states.colour_of_name("restart failed") is Colour.RED
    assert states.colour_of_name("good voice") is None


@pytest.mark.prometheus
def test_prometheus_parses_every_query_once_variables_are_chosen(tmp_path):
    rules = []
    for index, (page, expression) in enumerate(EXPRESSIONS):
        chosen = {variable.label: "1h" if variable.label == names.LABEL_WINDOW else "x" for variable in page.variables}
        rules.append({"record": f"panel:{index}", "expr": Choices({}, chosen, 1800, 15).put_into(expression)})
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    result = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(rules)} rules found" in result.stdout


@pytest.mark.prometheus
def test_a_replica_shows_its_own_gpu_or_all_of_its_host_where_nobody_knows(tmp_path):
    """Two hosts of two GPUs: on the first the agent sees who uses which, on the second it does not."""
    series = {f'agent_replica_up{{instance="{host}",replica="{host}-{slot}"}}': "1" for host in "ab" for slot in (0, 1)}
    series |= {
        f'gpu_temperature_celsius{{region="r",host="{host}",instance="{host}",gpu="{gpu}",uuid="{host}{gpu}"}}': str(
            gpu
        )
        for host in "ab"
        for gpu in (0, 1)
    }
    series['gpu_container_info{instance="a",uuid="a1",replica="a-0"}'] = "1"
    wanted = {"a-0": ["a1"], "b-0": ["b0", "b1"]}
    tests = []
    for replica, uuids in wanted.items():
        expression = of_its_gpus("gpu_temperature_celsius").replace("$replica", replica)
        samples = [{"labels": f'{{uuid="{uuid}"}}', "value": 1} for uuid in uuids]
        tests.append({"expr": f"count by (uuid) ({expression})", "eval_time": "1m", "exp_samples": samples})
    document = {
        "evaluation_interval": "1m",
        "rule_files": [],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": f"{value}x5"} for name, value in series.items()],
                "promql_expr_test": tests,
            }
        ],
    }
    path = tmp_path / "join.yml"
    path.write_text(yaml.safe_dump(document))
    result = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
