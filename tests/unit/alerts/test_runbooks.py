"""Every alert has a runbook, and every runbook an alert."""

from pathlib import Path

from contracts import metric_names
from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

REPOSITORY = Path(__file__).resolve().parents[3]
ALERT_NAMES = {value for name, value in vars(metric_names).items() if name.startswith("ALERT_")}
ALERTS = compile_slos((Slo(SloId("speech"), 0.95, ExactCounters(0.2)),), (Region("eu-west"),)).alerts


def test_every_named_alert_is_compiled_and_none_besides():
    assert {alert.alert for alert in ALERTS} == ALERT_NAMES


def test_every_runbook_link_leads_to_a_file_that_explains_itself():
    for alert in ALERTS:
        text = (REPOSITORY / dict(alert.annotations)["runbook"]).read_text()
        assert text.startswith(f"# {alert.alert}\n")
        for heading in ("**Meaning.**", "**What happens by itself.**", "**Look.**", "**Do.", "**Over when**"):
            assert heading in text, f"{alert.alert}: {heading}"


def test_no_runbook_is_left_without_an_alert():
    assert {path.stem for path in (REPOSITORY / "docs" / "runbooks").glob("*.md")} == ALERT_NAMES
