"""Values to JSON and back, typed: what was written is what is read, or reading fails loudly.

The actions overlap in their fields, so each is stored with the name of its class; guessing by shape would turn a
restart into a scale-in one day. Indicators and windows of objectives carry their `kind` for the same reason. Everything else is what pydantic derives from the dataclasses.
"""

from typing import Any

from pydantic import TypeAdapter

from contracts.agent_api import Order, Receipt
from controller.core.actions import (
    Action,
    ActionRecord,
    RebootHost,
    ResetGpu,
    Restart,
    ScaleIn,
    ScaleOut,
    Shift,
    SwitchProfile,
)
from controller.core.fleet import TrafficIntent
from slo_rules.model import Slo

JsonObject = dict[str, Any]

_ACTIONS: dict[str, TypeAdapter[Action]] = {
    cls.__name__: TypeAdapter(cls) for cls in (Restart, Shift, SwitchProfile, ScaleOut, ScaleIn, ResetGpu, RebootHost)
}
_RECORD: TypeAdapter[ActionRecord] = TypeAdapter(ActionRecord)
_TRAFFIC: TypeAdapter[TrafficIntent] = TypeAdapter(TrafficIntent)
_SLO: TypeAdapter[Slo] = TypeAdapter(Slo)


def action_to_json(record: ActionRecord) -> JsonObject:
    """An action's record with its class named."""
    body: JsonObject = _RECORD.dump_python(record, mode="json")
    body["action"] = {"type": type(record.action).__name__, **body["action"]}
    return body


def action_from_json(body: JsonObject) -> ActionRecord:
    """The reverse of `action_to_json`."""
    fields = dict(body["action"])
    action = _ACTIONS[fields.pop("type")].validate_python(fields)
    return _RECORD.validate_python({**body, "action": action})


def traffic_to_json(traffic: TrafficIntent) -> JsonObject:
    """Shares and cordons; the set is sorted, so that equal intents are equal bytes."""
    body: JsonObject = _TRAFFIC.dump_python(traffic, mode="json")
    return {**body, "cordoned": sorted(body["cordoned"])}


def traffic_from_json(body: JsonObject) -> TrafficIntent:
    """The reverse of `traffic_to_json`."""
    return _TRAFFIC.validate_python(body)


def slo_to_json(slo: Slo) -> JsonObject:
    """Every field of an objective."""
    body: JsonObject = _SLO.dump_python(slo, mode="json")
    return body


def slo_from_json(body: JsonObject) -> Slo:
    """The reverse of `slo_to_json`; an objective that is no longer valid raises."""
    body = _from_before_indicators(body) if "indicator" not in body else body
    for union in ("indicator", "window"):
        if (
            union in body and "kind" not in body[union]
        ):  # two histograms have the same fields: guessing would turn one into the other
            msg = f"the {union} of objective {body.get('id')} does not say its kind"
            raise ValueError(msg)
    return _SLO.validate_python(body)


def order_to_json(order: Order) -> JsonObject:
    """An order as it goes over the wire."""
    return order.model_dump(mode="json")


def order_from_json(body: JsonObject) -> Order:
    """The reverse of `order_to_json`."""
    return Order.model_validate(body)


def receipt_to_json(receipt: Receipt) -> JsonObject:
    """A receipt as it came over the wire."""
    return receipt.model_dump(mode="json")


def pairs_from_json(body: list[list[str]]) -> tuple[tuple[str, str], ...]:
    """Evidence and arguments: JSON has no tuples."""
    return tuple((str(name), str(value)) for name, value in body)


def _from_before_indicators(body: JsonObject) -> JsonObject:
    """Objectives were once about exact counters over a rolling window and nothing else."""
    kept = {name: value for name, value in body.items() if name not in {"threshold_s", "sli", "window_s"}}
    indicator = {"kind": "exact_counters", "threshold_s": body["threshold_s"], "sli": body["sli"]}
    return {**kept, "indicator": indicator, "window": {"kind": "rolling", "seconds": body["window_s"]}}
