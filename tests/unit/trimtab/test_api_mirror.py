"""What the command line reads is what the controller answers: each field by name and type, and what is not read is listed."""

from typing import Any

import pytest
from pydantic import BaseModel

from contracts.agent_api import GpuReport
from controller.api import admission_views, fleet, intents, slo_views, story
from trimtab import api_bodies, slo_bodies

NOT_READ = {
    "Status": {"ticks_ok"},
    "Replica": {"state_age_s", "profiles", "progress_age_s", "log_tail"},
    "Gpu": {"utilization_ratio", "memory_used_ratio", "clock_ratio"},
    "Host": {"runtime", "boot_id", "report_seq", "free_slots", "machine_orders"},
    "GatewayState": {"completed", "failed", "in_flight"},
    "Tier": {"theta", "long_s", "short_s"},
    "Slo": {"threshold_s", "sli", "window_s"},
    "Action": {"evidence", "expectation", "stage_deadline_unix_s"},
}
"""Left to the API and the dashboards, on purpose."""
MIRRORED: dict[type[BaseModel], type[BaseModel]] = {
    api_bodies.Lease: fleet.LeaseView,
    api_bodies.Status: fleet.StatusView,
    api_bodies.Replica: fleet.ReplicaView,
    api_bodies.Gpu: GpuReport,
    api_bodies.Host: fleet.HostView,
    api_bodies.Share: fleet.ShareView,
    api_bodies.Traffic: fleet.TrafficView,
    api_bodies.GatewayState: fleet.GatewayView,
    api_bodies.Fleet: fleet.FleetView,
    api_bodies.Decision: story.DecisionView,
    api_bodies.DecisionPage: story.DecisionPage,
    api_bodies.Action: story.ActionView,
    api_bodies.ActionList: story.ActionList,
    slo_bodies.Slo: slo_views.SloView,
    slo_bodies.AppliedSlos: slo_views.AppliedSlos,
    slo_bodies.UnhealthyRule: slo_views.UnhealthyRuleView,
    slo_bodies.Rules: slo_views.RulesView,
    slo_bodies.SloList: slo_views.SloList,
    slo_bodies.Finding: admission_views.FindingView,
    slo_bodies.Tier: admission_views.TierView,
    slo_bodies.Cost: admission_views.CostView,
    slo_bodies.Firing: admission_views.FiringView,
    slo_bodies.Silence: admission_views.SilenceView,
    slo_bodies.BudgetPoint: admission_views.BudgetPointView,
    slo_bodies.RegionBacktest: admission_views.RegionBacktestView,
    slo_bodies.Backtest: admission_views.BacktestView,
    slo_bodies.Report: admission_views.ReportView,
    slo_bodies.Admission: admission_views.AdmissionView,
    api_bodies.IntentReceipt: intents.IntentReceipt,
}
PAIRS = pytest.mark.parametrize(("body", "view"), MIRRORED.items(), ids=lambda model: model.__name__)


def kind(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    """A JSON type in a word or two; a model by its being one, for it has a pair of its own."""
    if "$ref" in schema:
        return kind(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(sorted({kind(each, whole) for each in schema.get("anyOf") or schema["oneOf"]}))
    if schema["type"] == "array":
        return f"array of {kind(schema['items'], whole)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {kind(schema['additionalProperties'], whole)}"
    return str(schema["type"])


def kinds(model: type[BaseModel], mode: Any) -> dict[str, str]:
    whole = model.model_json_schema(mode=mode)
    return {name: kind(schema, whole) for name, schema in whole["properties"].items()}


@PAIRS
def test_every_field_is_read_or_left_on_purpose(body, view):
    assert set(view.model_fields) - set(body.model_fields) == NOT_READ.get(body.__name__, set())


@PAIRS
def test_what_is_read_has_the_type_that_is_answered(body, view):
    answered = kinds(view, "serialization")
    assert kinds(body, "validation") == {name: answered[name] for name in body.model_fields}


def test_no_body_is_without_its_view():
    bodies = {
        each
        for module in (api_bodies, slo_bodies)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, api_bodies.Body)
    }
    assert bodies - {api_bodies.Body} == set(MIRRORED)
