"""Valid documents of every kind, and ways to break them."""

import copy
from collections.abc import Iterator

Json = dict | list | str | int | float | bool | None
Path = tuple[str | int, ...]

HEAD = {"apiVersion": "openslo/v1"}


def prometheus(**spec) -> dict:
    return {"metricSource": {"type": "Prometheus", "spec": spec}}


def document(kind: str, name: str, spec: dict, **metadata) -> dict:
    return {**HEAD, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def slo(name: str, *, objective: dict | None = None, annotations: dict | None = None, **spec) -> dict:
    notes = {"annotations": annotations} if annotations else {}
    return document("SLO", name, {**spec, "objectives": [{"target": 0.95, **(objective or {})}]}, **notes)


CONDITION = {"kind": "burnrate", "threshold": 2, "lookbackWindow": "1h", "alertAfter": "5m"}
RATIO = {
    "ratioMetric": {
        "counter": True,
        "bad": prometheus(query='http_requests_total{code=~"5.."}'),
        "total": prometheus(query="http_requests_total"),
    }
}
EXACT = slo(
    "exact",
    annotations={
        "trimtab/threshold": "200ms",
        "trimtab/sli": "total",
        "trimtab/page-within": "8m",
        "trimtab/owner": "speech",
        "trimtab/depends-on": "ratio",
        "trimtab/exclusions": "2026-08-01T02:00:00Z/2026-08-01T04:00:00Z upgrade\nsunday 02:00-03:30 backups",
    },
    description="fast",
    service="speech",
    budgetingMethod="Occurrences",
    timeWindow=[{"duration": "30d", "isRolling": True}],
)
INLINE_RATIO = slo("ratio", indicator={"metadata": {"name": "ratio"}, "spec": RATIO})
BY_REFERENCE = slo(
    "first-token",
    indicatorRef="ttft",
    objective={"op": "lte", "value": 0.5},
    alertPolicies=[{"alertPolicyRef": "on-call"}],
)
GAUGE = slo(
    "queue",
    indicator={"metadata": {"name": "queue"}, "spec": {"thresholdMetric": prometheus(query="queue_seconds")}},
    objective={"op": "lt", "value": 3, "timeSliceTarget": 0.95, "timeSliceWindow": "1m"},
    budgetingMethod="Timeslices",
)
MONTHLY = slo(
    "monthly",
    annotations={"trimtab/threshold": "1s"},
    timeWindow=[
        {
            "duration": "1M",
            "isRolling": False,
            "calendar": {"startTime": "2024-01-01 00:00:00", "timeZone": "Europe/Berlin"},
        }
    ],
)
COMPOSITE = slo("whole", annotations={"trimtab/parts": "exact=2, ratio"})
TTFT = document(
    "SLI",
    "ttft",
    {
        "description": "time to first token",
        "thresholdMetric": {
            "metricSource": {"metricSourceRef": "prom", "spec": {"histogram": "vllm:ttft_seconds", "native": True}}
        },
    },
)
SOURCE = document("DataSource", "prom", {"type": "Prometheus", "connectionDetails": {"url": "http://prometheus"}})
SERVICE = document("Service", "speech", {"description": "speaks"})
POLICY = document(
    "AlertPolicy",
    "on-call",
    {
        "alertWhenBreaching": True,
        "alertWhenResolved": False,
        "alertWhenNoData": True,
        "conditions": [{"conditionRef": "fast-burn"}],
        "notificationTargets": [{"targetRef": "pager"}],
    },
)
BURN = document("AlertCondition", "fast-burn", {"severity": "page", "condition": CONDITION})
PAGER = document("AlertNotificationTarget", "pager", {"target": "pagerduty", "description": "wakes people"})
VALID_SET = (
    *(EXACT, INLINE_RATIO, BY_REFERENCE, GAUGE, MONTHLY, COMPOSITE, TTFT, SOURCE, SERVICE, POLICY, BURN, PAGER),
)


def changed(base: dict, path: str | Path, value: object) -> dict:
    """`base` with `value` at a path such as `spec.objectives.0.target`; None removes."""
    result = copy.deepcopy(base)
    *parents, last = steps(path) if isinstance(path, str) else path
    place = result
    for parent in parents:
        place = place[parent] if isinstance(parent, int) else place.setdefault(parent, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return result


def steps(path: str) -> Path:
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))


def places(value: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Every place below the document itself, inner ones included, with what stands there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        here = (*path, key)
        yield here, below
        if key != "connectionDetails":
            yield from places(below, here)
