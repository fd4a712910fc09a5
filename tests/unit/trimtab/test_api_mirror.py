"""What the command line reads is what the controller answers: each field by name and type, and what is not read is listed."""

from typing import Any

import pytest
from pydantic import BaseModel

from contracts.agent_api import GpuReport
from controller.api import fleet, intents, slos, story
from trimtab import api_bodies

NOT_READ = {
    "Status": {"ticks_ok"},
    "Replica": {"state_age_s", "profiles", "progress_age_s", "log_tail"},
    "Gpu": {"utilization_ratio", "memory_used_ratio", "clock_ratio"},
    "Host": {"runtime", "boot_id", "report_seq", "free_slots", "machine_orders"},
    "GatewayState": {"completed", "failed", "in_flight"},
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
    api_bodies.Slo: slos.SloView,
    api_bodies.SloList: slos.SloList,
    api_bodies.IntentReceipt: intents.IntentReceipt,
}
PAIRS = pytest.mark.parametrize(("body", "view"), MIRRORED.items(), ids=lambda model: model.__name__)


def kind(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    """A JSON type in a word or two; a model by its being one, for it has a pair of its own."""
    if "$ref" in schema:
        return kind(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return " or ".join(sorted(kind(each, whole) for each in schema["anyOf"]))
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
        each for each in vars(api_bodies).values() if isinstance(each, type) and issubclass(each, api_bodies.Body)
    }
    assert bodies - {api_bodies.Body} == set(MIRRORED)
