"""What leaves us is committed: code and generated files agree, and they use no name that `contracts` does not know.

`make golden` rewrites the files; the diff is what a reviewer reads.
"""

import json
from datetime import date
from pathlib import Path

import pytest
import yaml

import alerts.__main__ as alerts_command
import grafana.__main__ as grafana_command
import slo_rules.__main__ as rules_command
import trimtab.host.__main__ as host_command
from alerts.config import rendered_files as alertmanager_files
from contracts import metric_names
from contracts.vocabulary import SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.load import default_paths, load_files
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RecordingRule
from slo_rules.windows import CalendarWindow, Exclusion
from tests.metric_reader import KNOWN, metrics_in
from trimtab.host.artefacts import golden_files


def generated() -> dict[Path, str]:
    """Every generated file and what the code would write today."""
    rules = compile_slos(load_files(default_paths()), rules_command.GOLDEN_REGIONS)
    notifications = alertmanager_files(alerts_command.golden_settings())
    dashboards = grafana_command.rendered_files(grafana_command.GOLDEN_SETTINGS)
    return {
        rules_command.GOLDEN: render_rules(rules),
        **{alerts_command.GOLDEN / name: text for name, text in notifications.items()},
        **{grafana_command.GOLDEN / name: text for name, text in dashboards.items()},
        **{host_command.GOLDEN / name: text for name, text in golden_files().items()},
    }


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_a_generated_file_is_what_the_code_writes(path):
    assert path.read_text(encoding="utf-8") == generated()[path], "run `make golden` and read the diff"


def expressions() -> list[str]:
    rules = yaml.safe_load(rules_command.GOLDEN.read_text())
    pages = [json.loads(path.read_text()) for path in grafana_command.GOLDEN.glob("*.json")]
    panels = [panel for page in pages for row in page["panels"] for panel in (row, *(row.get("panels") or ()))]
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in panels for target in panel.get("targets") or ()),
    ]


def test_the_reader_of_expressions_sees_metric_names_only():
    assert metrics_in('sum by (a, b) (rate(x_total{c="d{e}"}[5m])) / (y:z:inc1m > 0)') == {"x_total", "y:z:inc1m"}
    assert metrics_in("max(a) == 1 unless on (h, r) (b == 0) or label_replace(c, d)") == {"a", "b", "c", "d"}


def test_rules_and_dashboards_use_no_name_that_contracts_does_not_know():
    used = {name for expression in expressions() for name in metrics_in(expression)}
    assert used - KNOWN == set()
    assert metric_names.SLO_EVENTS_TOTAL in used


def test_every_recorded_series_is_named_in_contracts():
    """Of SLOs that use all there is: some series are for calendar windows and maintenance only, some for rolling ones."""
    everything = (
        Slo(SloId("x"), 0.95, ExactCounters(0.2), CalendarWindow(), exclusions=(Exclusion(1_000_000, 1_003_600),)),
        Slo(SloId("y"), 0.95, ExactCounters(0.2)),
    )
    compiled = compile_slos(everything, rules_command.GOLDEN_REGIONS, date(2026, 1, 1))
    recorded = {rule.record for group in compiled.groups for rule in group.rules if isinstance(rule, RecordingRule)}
    assert recorded == {value for name, value in vars(metric_names).items() if name.startswith("RULE_")}
