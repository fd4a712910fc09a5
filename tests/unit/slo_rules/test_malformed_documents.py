"""Documents that cannot be: each is refused with the place and the fix, never with another exception, and nothing is compiled.

Some hundred are picked by hand, for what people and attackers write; the others are every place of a valid document of every
kind with something wrong in it.
"""

import json
import re

import pytest

from slo_rules.__main__ import main
from slo_rules.openslo.faults import FAULTS_MAX
from slo_rules.openslo.reader import DEPTH_MAX, TEXT_BYTES_MAX
from tests.unit.slo_rules.openslo_documents import (
    BURN,
    BY_REFERENCE,
    COMPOSITE,
    CONDITION,
    EXACT,
    GAUGE,
    INLINE_RATIO,
    MONTHLY,
    POLICY,
    SOURCE,
    TTFT,
    VALID_SET,
    changed,
    places,
    prometheus,
    slo,
)

NOTES = "metadata.annotations"
OBJECTIVE = "spec.objectives.0"
WINDOW = "spec.timeWindow.0"
QUERY = "spec.indicator.spec.ratioMetric.bad.metricSource.spec.query"
EMPTY = slo("empty")


def note(name: str, value: object) -> tuple:
    return ("metadata", "annotations", f"trimtab/{name}"), value


def text_of(*documents: dict) -> str:
    """JSON is YAML, and quicker to write."""
    flow = (json.dumps(document, ensure_ascii=False) for document in documents)
    return "\n---\n".join(flow).replace("NaN", ".nan").replace("Infinity", ".inf") + "\n"


BY_HAND = {
    # ── what it is ────────────────────────────────────────────────────────────────────────────────────────────────────
    "another version": (changed(EXACT, "apiVersion", "openslo/v1alpha"), "apiVersion"),
    "another vendor": (changed(EXACT, "apiVersion", "n9/v1"), "apiVersion"),
    "a kind of another case": (changed(EXACT, "kind", "slo"), "kind"),
    "a kind that is a list": (changed(EXACT, "kind", ["SLO"]), "kind"),
    "no kind": (changed(EXACT, "kind", None), "kind"),
    "a text": ("speech", ""),
    "a number": ("42", ""),
    "a list of documents": ("- kind: SLO\n", ""),
    "an empty mapping": ("{}", "kind"),
    "a Sloth document": ("version: prometheus/v1\nservice: x\nslos: []\n", "kind"),
    # ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    "a name with capitals": (changed(EXACT, "metadata.name", "Speech"), "metadata.name"),
    "a name with a space": (changed(EXACT, "metadata.name", "a b"), "metadata.name"),
    "a name with a line break": (changed(EXACT, "metadata.name", "a\n"), "metadata.name"),
    "a name that ends a selector": (changed(EXACT, "metadata.name", 'a"} or vector(1) #'), "metadata.name"),
    "a name that is a path": (changed(EXACT, "metadata.name", "../../etc/passwd"), "metadata.name"),
    "a name that is a template": (changed(EXACT, "metadata.name", "{{ query }}"), "metadata.name"),
    "a name of 64 characters": (changed(EXACT, "metadata.name", "a" * 64), "metadata.name"),
    "an empty name": (changed(EXACT, "metadata.name", ""), "metadata.name"),
    "a name in Greek": (changed(EXACT, "metadata.name", "αβγ"), "metadata.name"),
    "a name that begins with a dash": (changed(EXACT, "metadata.name", "-a"), "metadata.name"),
    "a name that is a number": (changed(EXACT, "metadata.name", 7), "metadata.name"),
    "a name twice": (text_of(EXACT, EXACT), "metadata.name"),
    # ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    "a description of 1,051 characters": (changed(EXACT, "spec.description", "x" * 1_051), "spec.description"),
    "a bell in the description": (changed(EXACT, "spec.description", "a\x07"), "spec.description"),
    "an escape sequence in the description": (changed(EXACT, "spec.description", "\x1b[31m"), "spec.description"),
    "text that turns the reading direction": (changed(EXACT, "spec.description", "a\u202eb"), "spec.description"),
    "a service over two lines": (changed(EXACT, "spec.service", "a\nb"), "spec.service"),
    "an owner over two lines": (changed(EXACT, *note("owner", "a\nb")), f"{NOTES}[trimtab/owner]"),
    "an owner of 201 characters": (changed(EXACT, *note("owner", "x" * 201)), f"{NOTES}[trimtab/owner]"),
    "a label that is a number": (changed(EXACT, "metadata.labels", {"a": 1}), "metadata.labels.a"),
    "a label that is a mapping": (changed(EXACT, "metadata.labels", {"a": {"b": "c"}}), "metadata.labels.a"),
    "101 labels": (changed(EXACT, "metadata.labels", {f"l{n}": "" for n in range(101)}), "metadata.labels"),
    # ── targets ───────────────────────────────────────────────────────────────────────────────────────────────────────
    "a percentage as target": (changed(EXACT, f"{OBJECTIVE}.target", 95), f"{OBJECTIVE}.target"),
    "a target of 1": (changed(EXACT, f"{OBJECTIVE}.target", 1), f"{OBJECTIVE}.target"),
    "a target of 0": (changed(EXACT, f"{OBJECTIVE}.target", 0), f"{OBJECTIVE}.target"),
    "a negative target": (changed(EXACT, f"{OBJECTIVE}.target", -0.95), f"{OBJECTIVE}.target"),
    "a target of five nines": (changed(EXACT, f"{OBJECTIVE}.target", 0.99999), f"{OBJECTIVE}.target"),
    "a target of 0.3": (changed(EXACT, f"{OBJECTIVE}.target", 0.3), f"{OBJECTIVE}.target"),
    "NaN as target": (changed(EXACT, f"{OBJECTIVE}.target", float("nan")), f"{OBJECTIVE}.target"),
    "infinity as target": (changed(EXACT, f"{OBJECTIVE}.target", float("inf")), f"{OBJECTIVE}.target"),
    "a target in quotes": (changed(EXACT, f"{OBJECTIVE}.target", "0.95"), f"{OBJECTIVE}.target"),
    "true as target": (changed(EXACT, f"{OBJECTIVE}.target", True), f"{OBJECTIVE}.target"),
    "a target and a percentage": (changed(EXACT, f"{OBJECTIVE}.targetPercent", 95.0), f"{OBJECTIVE}.targetPercent"),
    "a ratio as percentage": (
        slo("s", annotations=EXACT["metadata"]["annotations"], objective={"targetPercent": 0.95}),
        f"{OBJECTIVE}.targetPercent",
    ),
    "no target": (changed(EXACT, f"{OBJECTIVE}.target", None), f"{OBJECTIVE}.target"),
    "no objective": (changed(EXACT, "spec.objectives", []), "spec.objectives"),
    "two objectives": (changed(EXACT, "spec.objectives", [{"target": 0.9}, {"target": 0.99}]), "spec.objectives"),
    "2,000 objectives": (changed(EXACT, "spec.objectives", [{"target": 0.9}] * 2_000), "spec.objectives"),
    "a composite of OpenSLO": (
        changed(EMPTY, "spec.objectives", [{"target": 0.9, "indicatorRef": "ttft", "compositeWeight": 2}]),
        f"{OBJECTIVE}.indicatorRef",
    ),
    # ── windows and slices ────────────────────────────────────────────────────────────────────────────────────────────
    "a rolling month": (changed(EXACT, f"{WINDOW}.duration", "1M"), f"{WINDOW}.duration"),
    "a window without unit": (changed(EXACT, f"{WINDOW}.duration", "30"), f"{WINDOW}.duration"),
    "a window that is a number": (changed(EXACT, f"{WINDOW}.duration", 30), f"{WINDOW}.duration"),
    "a window in words": (changed(EXACT, f"{WINDOW}.duration", "30 days"), f"{WINDOW}.duration"),
    "a negative window": (changed(EXACT, f"{WINDOW}.duration", "-30d"), f"{WINDOW}.duration"),
    "a window of no time": (changed(EXACT, f"{WINDOW}.duration", "0d"), f"{WINDOW}.duration"),
    "a window of two years": (changed(EXACT, f"{WINDOW}.duration", "730d"), f"{WINDOW}.duration"),
    "a window of a huge number": (changed(EXACT, f"{WINDOW}.duration", "9" * 400 + "d"), f"{WINDOW}.duration"),
    "a window in Arabic digits": (changed(EXACT, f"{WINDOW}.duration", "٣٠d"), f"{WINDOW}.duration"),
    "a window with a part of a second": (changed(EXACT, f"{WINDOW}.duration", "3600500ms"), f"{WINDOW}.duration"),
    "two windows": (changed(EXACT, "spec.timeWindow", EXACT["spec"]["timeWindow"] * 2), "spec.timeWindow"),
    "neither rolling nor calendar": (changed(EXACT, f"{WINDOW}.isRolling", False), f"{WINDOW}.isRolling"),
    "rolling and calendar": (changed(MONTHLY, f"{WINDOW}.isRolling", True), f"{WINDOW}.isRolling"),
    "a calendar of 30 days": (changed(MONTHLY, f"{WINDOW}.duration", "30d"), f"{WINDOW}.duration"),
    "a calendar of two months": (changed(MONTHLY, f"{WINDOW}.duration", "2M"), f"{WINDOW}.duration"),
    "a zone that is none": (
        changed(MONTHLY, f"{WINDOW}.calendar.timeZone", "Mars/Olympus"),
        f"{WINDOW}.calendar.timeZone",
    ),
    "a zone that is a path": (
        changed(MONTHLY, f"{WINDOW}.calendar.timeZone", "../../etc/localtime"),
        f"{WINDOW}.calendar.timeZone",
    ),
    "a zone that is a folder": (
        changed(MONTHLY, f"{WINDOW}.calendar.timeZone", "Europe"),
        f"{WINDOW}.calendar.timeZone",
    ),
    "an empty zone": (changed(MONTHLY, f"{WINDOW}.calendar.timeZone", ""), f"{WINDOW}.calendar.timeZone"),
    "a zone of 200 characters": (
        changed(MONTHLY, f"{WINDOW}.calendar.timeZone", "x" * 200),
        f"{WINDOW}.calendar.timeZone",
    ),
    "a month that begins on the 15th": (
        changed(MONTHLY, f"{WINDOW}.calendar.startTime", "2024-01-15 00:00:00"),
        f"{WINDOW}.calendar.startTime",
    ),
    "a month that begins at noon": (
        changed(MONTHLY, f"{WINDOW}.calendar.startTime", "2024-01-01 12:00:00"),
        f"{WINDOW}.calendar.startTime",
    ),
    "a day that no month has": (
        changed(MONTHLY, f"{WINDOW}.calendar.startTime", "2024-02-30 00:00:00"),
        f"{WINDOW}.calendar.startTime",
    ),
    "a start with a zone": (
        changed(MONTHLY, f"{WINDOW}.calendar.startTime", "2024-01-01T00:00:00Z"),
        f"{WINDOW}.calendar.startTime",
    ),
    "a mean of ratios": (changed(EXACT, "spec.budgetingMethod", "RatioTimeslices"), "spec.budgetingMethod"),
    "a method that is none": (changed(EXACT, "spec.budgetingMethod", "Guesses"), "spec.budgetingMethod"),
    "slices without a target": (changed(GAUGE, f"{OBJECTIVE}.timeSliceTarget", None), f"{OBJECTIVE}.timeSliceTarget"),
    "slices without a length": (changed(GAUGE, f"{OBJECTIVE}.timeSliceWindow", None), f"{OBJECTIVE}.timeSliceWindow"),
    "slices of 7 minutes": (changed(GAUGE, f"{OBJECTIVE}.timeSliceWindow", "7m"), f"{OBJECTIVE}.timeSliceWindow"),
    "slices of a day": (changed(GAUGE, f"{OBJECTIVE}.timeSliceWindow", "1d"), f"{OBJECTIVE}.timeSliceWindow"),
    "slices of a part of a minute": (
        changed(GAUGE, f"{OBJECTIVE}.timeSliceWindow", 0.5),
        f"{OBJECTIVE}.timeSliceWindow",
    ),
    "slices of true": (changed(GAUGE, f"{OBJECTIVE}.timeSliceWindow", True), f"{OBJECTIVE}.timeSliceWindow"),
    "slices better than perfect": (
        changed(GAUGE, f"{OBJECTIVE}.timeSliceTarget", 1.01),
        f"{OBJECTIVE}.timeSliceTarget",
    ),
    "slices that are always good": (changed(GAUGE, f"{OBJECTIVE}.timeSliceTarget", 0), f"{OBJECTIVE}.timeSliceTarget"),
    "slices of events": (changed(EXACT, f"{OBJECTIVE}.timeSliceWindow", "1m"), f"{OBJECTIVE}.timeSliceWindow"),
    "events of a gauge": (changed(GAUGE, "spec.budgetingMethod", "Occurrences"), f"{OBJECTIVE}.timeSliceTarget"),
    "slices of a composite": (
        changed(
            changed(COMPOSITE, "spec.budgetingMethod", "Timeslices"),
            OBJECTIVE,
            {"target": 0.9, "timeSliceTarget": 0.9, "timeSliceWindow": "1m"},
        ),
        "spec.budgetingMethod",
    ),
    # ── tiers that cannot be reached ──────────────────────────────────────────────────────────────────────────────────
    "a page before the rules run": (changed(EXACT, *note("page-within", "30s")), f"{NOTES}[trimtab/page-within]"),
    "a page within five minutes": (changed(EXACT, *note("page-within", "299s")), f"{NOTES}[trimtab/page-within]"),
    "a page after the budget is spent": (changed(EXACT, *note("page-within", "3d")), f"{NOTES}[trimtab/page-within]"),
    "a budget spent before any page": (
        changed(changed(EXACT, f"{WINDOW}.duration", "1h"), f"{OBJECTIVE}.target", 0.999),
        f"{WINDOW}.duration",
    ),
    "a page within a word": (changed(EXACT, *note("page-within", "soon")), f"{NOTES}[trimtab/page-within]"),
    "a page within a month": (changed(EXACT, *note("page-within", "1M")), f"{NOTES}[trimtab/page-within]"),
    # ── exact counters ────────────────────────────────────────────────────────────────────────────────────────────────
    "a threshold without unit": (changed(EXACT, *note("threshold", "200")), f"{NOTES}[trimtab/threshold]"),
    "a threshold that is a number": (changed(EXACT, *note("threshold", 0.2)), f"{NOTES}[trimtab/threshold]"),
    "a threshold of nothing": (changed(EXACT, *note("threshold", "0ms")), f"{NOTES}[trimtab/threshold]"),
    "a negative threshold": (changed(EXACT, *note("threshold", "-200ms")), f"{NOTES}[trimtab/threshold]"),
    "a threshold of two hours": (changed(EXACT, *note("threshold", "2h")), f"{NOTES}[trimtab/threshold]"),
    "a threshold in microseconds": (changed(EXACT, *note("threshold", "200us")), f"{NOTES}[trimtab/threshold]"),
    "a threshold in an exponent": (changed(EXACT, *note("threshold", "2e-1s")), f"{NOTES}[trimtab/threshold]"),
    "a quantity we do not measure": (changed(EXACT, *note("sli", "loudness")), f"{NOTES}[trimtab/sli]"),
    "a quantity without a threshold": (
        slo("s", annotations={"trimtab/sli": "total", "trimtab/parts": "exact,ratio"}),
        f"{NOTES}[trimtab/sli]",
    ),
    "an annotation misspelt": (changed(EXACT, *note("treshold", "200ms")), f"{NOTES}[trimtab/treshold]"),
    "nothing that is good": (EMPTY, "spec.indicator"),
    "two ways to be good": (changed(INLINE_RATIO, *note("threshold", "1s")), "spec.indicator"),
    "an indicator and a reference": (changed(INLINE_RATIO, "spec.indicatorRef", "ttft"), "spec.indicator"),
    # ── other SLOs ────────────────────────────────────────────────────────────────────────────────────────────────────
    "a parent that is not there": (changed(EXACT, *note("depends-on", "ghost")), f"{NOTES}[trimtab/depends-on]"),
    "a parent that is itself": (changed(EXACT, *note("depends-on", "exact")), f"{NOTES}[trimtab/depends-on]"),
    "a parent that is no name": (changed(EXACT, *note("depends-on", "a b")), f"{NOTES}[trimtab/depends-on]"),
    "a parent that is injected": (changed(EXACT, *note("depends-on", 'x"} or up{a="')), f"{NOTES}[trimtab/depends-on]"),
    "a circle": (changed(INLINE_RATIO, *note("depends-on", "exact")), f"{NOTES}[trimtab/depends-on]"),
    "a part that is not there": (changed(COMPOSITE, *note("parts", "exact, ghost")), f"{NOTES}[trimtab/parts]"),
    "a part that is itself": (changed(COMPOSITE, *note("parts", "whole, exact")), f"{NOTES}[trimtab/parts]"),
    "a part twice": (changed(COMPOSITE, *note("parts", "exact, exact=2")), f"{NOTES}[trimtab/parts]"),
    "one part": (changed(COMPOSITE, *note("parts", "exact")), f"{NOTES}[trimtab/parts]"),
    "no part": (changed(COMPOSITE, *note("parts", "")), f"{NOTES}[trimtab/parts]"),
    "21 parts": (changed(COMPOSITE, *note("parts", ",".join(f"p{n}" for n in range(21)))), f"{NOTES}[trimtab/parts]"),
    "a weight of nothing": (changed(COMPOSITE, *note("parts", "exact=0, ratio")), f"{NOTES}[trimtab/parts]"),
    "a negative weight": (changed(COMPOSITE, *note("parts", "exact=-1, ratio")), f"{NOTES}[trimtab/parts]"),
    "a weight that is NaN": (changed(COMPOSITE, *note("parts", "exact=nan, ratio")), f"{NOTES}[trimtab/parts]"),
    "a weight over a thousand": (changed(COMPOSITE, *note("parts", "exact=1001, ratio")), f"{NOTES}[trimtab/parts]"),
    "events and slices together": (changed(COMPOSITE, *note("parts", "exact, queue")), f"{NOTES}[trimtab/parts]"),
    # ── maintenance ───────────────────────────────────────────────────────────────────────────────────────────────────
    "maintenance that ends before it begins": (
        changed(EXACT, *note("exclusions", "2026-08-02T00:00:00Z/2026-08-01T00:00:00Z")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance of a month": (
        changed(EXACT, *note("exclusions", "2026-08-01T00:00:00Z/2026-09-01T00:00:00Z")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance on February 30th": (
        changed(EXACT, *note("exclusions", "2026-02-30T00:00:00Z/2026-03-01T00:00:00Z")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance in local time": (
        changed(EXACT, *note("exclusions", "2026-08-01T00:00:00/2026-08-01T01:00:00")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance on a day that is none": (
        changed(EXACT, *note("exclusions", "someday 02:00-03:00")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance over midnight": (
        changed(EXACT, *note("exclusions", "sunday 23:00-01:00")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance until 25 o'clock": (
        changed(EXACT, *note("exclusions", "sunday 23:00-25:00")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "maintenance at minute 75": (
        changed(EXACT, *note("exclusions", "sunday 02:00-03:75")),
        f"{NOTES}[trimtab/exclusions]",
    ),
    "51 maintenances": (
        changed(EXACT, *note("exclusions", "sunday 02:00-03:00\n" * 51)),
        f"{NOTES}[trimtab/exclusions]",
    ),
    # ── queries ───────────────────────────────────────────────────────────────────────────────────────────────────────
    "a rate as query": (changed(INLINE_RATIO, QUERY, "rate(a_total[5m])"), QUERY),
    "a range as query": (changed(INLINE_RATIO, QUERY, "a_total[5m]"), QUERY),
    "a query that closes a brace": (changed(INLINE_RATIO, QUERY, "a} or vector(1)"), QUERY),
    "a query with a comment": (changed(INLINE_RATIO, QUERY, "a # and more"), QUERY),
    "an empty query": (changed(INLINE_RATIO, QUERY, ""), QUERY),
    "a query in another language": (changed(INLINE_RATIO, QUERY, "SELECT * FROM slos; DROP TABLE slos"), QUERY),
    "a query with a broken pattern": (changed(INLINE_RATIO, QUERY, 'a{b=~"["}'), QUERY),
    "a query with a pattern only Python knows": (changed(INLINE_RATIO, QUERY, 'a{b=~"(?=x)"}'), QUERY),
    "a query that selects nothing": (changed(INLINE_RATIO, QUERY, 'a{b="1",b="2"}'), QUERY),
    "a query of every metric": (changed(INLINE_RATIO, QUERY, '{__name__=~".*"}'), QUERY),
    "a query of 2,001 characters": (changed(INLINE_RATIO, QUERY, "a" * 2_001), QUERY),
    "a query of a bucket": (changed(INLINE_RATIO, QUERY, 'a_bucket{le="0.2"}'), QUERY),
    "a query with a template": (changed(INLINE_RATIO, QUERY, "a[{{.window}}]"), QUERY),
    "the same counter twice": (
        changed(INLINE_RATIO, QUERY, "http_requests_total{}"),
        "spec.indicator.spec.ratioMetric.total",
    ),
    "good and bad": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.good", prometheus(query="a")),
        "spec.indicator.spec.ratioMetric",
    ),
    "neither good nor bad": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.bad", None),
        "spec.indicator.spec.ratioMetric",
    ),
    "a ratio of gauges": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.counter", False),
        "spec.indicator.spec.ratioMetric.counter",
    ),
    "a stored ratio": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.raw", prometheus(query="a")),
        "spec.indicator.spec.ratioMetric.raw",
    ),
    "a ratio of histograms": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.bad", prometheus(histogram="a")),
        "spec.indicator.spec.ratioMetric.bad.metricSource.spec",
    ),
    "a ratio and a threshold": (
        changed(INLINE_RATIO, "spec.indicator.spec.thresholdMetric", prometheus(query="a")),
        "spec.indicator.spec",
    ),
    "an indicator of nothing": (
        changed(INLINE_RATIO, "spec.indicator.spec", {"description": "x"}),
        "spec.indicator.spec",
    ),
    "another database": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.bad.metricSource.type", "Datadog"),
        "spec.indicator.spec.ratioMetric.bad.metricSource.type",
    ),
    "no database": (
        changed(INLINE_RATIO, "spec.indicator.spec.ratioMetric.bad.metricSource.type", None),
        "spec.indicator.spec.ratioMetric.bad.metricSource.type",
    ),
    "a histogram by one of its series": (
        changed(TTFT, "spec.thresholdMetric.metricSource.spec.histogram", "a_bucket"),
        "spec.thresholdMetric.metricSource.spec.histogram",
    ),
    "two histograms": (
        changed(TTFT, "spec.thresholdMetric.metricSource.spec.histogram", '{__name__=~"a|b"}'),
        "spec.thresholdMetric.metricSource.spec.histogram",
    ),
    "a histogram and a gauge": (
        changed(TTFT, "spec.thresholdMetric.metricSource.spec.query", "a"),
        "spec.thresholdMetric.metricSource.spec",
    ),
    "a source that is not there": (
        changed(TTFT, "spec.thresholdMetric.metricSource.metricSourceRef", "ghost"),
        "spec.thresholdMetric.metricSource.metricSourceRef",
    ),
    "a source of two types": (
        changed(TTFT, "spec.thresholdMetric.metricSource.type", "Datadog"),
        "spec.thresholdMetric.metricSource.type",
    ),
    "a source of another type": (changed(SOURCE, "spec.type", "CloudWatch"), "spec.thresholdMetric.metricSource.type"),
    "a native gauge": (
        changed(GAUGE, "spec.indicator.spec.thresholdMetric.metricSource.spec.native", True),
        "spec.indicator.spec.thresholdMetric.metricSource.spec.native",
    ),
    "an indicator that is not there": (changed(BY_REFERENCE, "spec.indicatorRef", "ghost"), "spec.indicatorRef"),
    "a histogram without a threshold": (changed(BY_REFERENCE, f"{OBJECTIVE}.value", None), f"{OBJECTIVE}.value"),
    "a histogram without an operator": (changed(BY_REFERENCE, f"{OBJECTIVE}.op", None), f"{OBJECTIVE}.op"),
    "requests that should be slow": (changed(BY_REFERENCE, f"{OBJECTIVE}.op", "gte"), f"{OBJECTIVE}.op"),
    "an operator that is none": (changed(BY_REFERENCE, f"{OBJECTIVE}.op", "<="), f"{OBJECTIVE}.op"),
    "a histogram below zero": (changed(BY_REFERENCE, f"{OBJECTIVE}.value", -1), f"{OBJECTIVE}.value"),
    "a threshold of a day": (changed(BY_REFERENCE, f"{OBJECTIVE}.value", 86_400_000), f"{OBJECTIVE}.value"),
    "NaN as threshold": (changed(BY_REFERENCE, f"{OBJECTIVE}.value", float("nan")), f"{OBJECTIVE}.value"),
    "infinity as bound": (changed(GAUGE, f"{OBJECTIVE}.value", float("-inf")), f"{OBJECTIVE}.value"),
    # ── alerting ──────────────────────────────────────────────────────────────────────────────────────────────────────
    "silence about missing data": (changed(POLICY, "spec.alertWhenNoData", False), "spec.alertWhenNoData"),
    "silence about a burn": (changed(POLICY, "spec.alertWhenBreaching", False), "spec.alertWhenBreaching"),
    "a policy without conditions": (changed(POLICY, "spec.conditions", []), "spec.conditions"),
    "a policy with two conditions": (
        changed(POLICY, "spec.conditions", [{"conditionRef": "fast-burn"}] * 2),
        "spec.conditions",
    ),
    "a condition that is not there": (
        changed(POLICY, "spec.conditions.0.conditionRef", "ghost"),
        "spec.conditions.0.conditionRef",
    ),
    "a condition that is neither": (changed(POLICY, "spec.conditions", [{}]), "spec.conditions.0.conditionRef"),
    "half a condition": (
        changed(POLICY, "spec.conditions", [{"kind": "AlertCondition"}]),
        "spec.conditions.0.conditionRef",
    ),
    "a condition twice": (
        changed(POLICY, "spec.conditions.0.kind", "AlertCondition"),
        "spec.conditions.0.conditionRef",
    ),
    "a target that is not there": (
        changed(POLICY, "spec.notificationTargets.0.targetRef", "ghost"),
        "spec.notificationTargets.0.targetRef",
    ),
    "a policy that is not there": (
        changed(BY_REFERENCE, "spec.alertPolicies.0.alertPolicyRef", "ghost"),
        "spec.alertPolicies.0.alertPolicyRef",
    ),
    "a burn rate of nothing": (changed(BURN, "spec.condition.threshold", 0), "spec.condition.threshold"),
    "a burn rate that is NaN": (changed(BURN, "spec.condition.threshold", float("nan")), "spec.condition.threshold"),
    "a condition of another kind": (changed(BURN, "spec.condition.kind", "latency"), "spec.condition.kind"),
    "a look back of a month": (changed(BURN, "spec.condition.lookbackWindow", "1M"), "spec.condition.lookbackWindow"),
    "an inline condition that is none": (
        changed(
            POLICY,
            "spec.conditions",
            [
                {
                    "kind": "AlertCondition",
                    "metadata": {"name": "x"},
                    "spec": {"severity": "page", "condition": {**CONDITION, "alertAfter": "soon"}},
                }
            ],
        ),
        "spec.conditions.0.spec.condition.alertAfter",
    ),
    # ── YAML ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    "no text": ("", None),
    "comments only": ("# nothing\n---\n", None),
    "an open bracket": ("a: [", None),
    "a tab": ("\ta: 1", None),
    "a NUL": ("a: \0", None),
    "a bell": ("a: \x07", None),
    "binary": ("\x89PNG\r\n\x1a\n", None),
    "a byte order mark in the middle": ("a: 1\n\ufeffb: }", None),
    "a bad escape": ('a: "\\q"', None),
    "half a surrogate pair": ('a: "\\ud800"', None),
    "an unknown directive": ("%YAML 9.9\n---\na: 1", None),
    "two values in one line": ("a: b: c", None),
    "a key twice": (text_of(EXACT).replace('"kind": "SLO"', '"kind": "SLO", "kind": "SLI"'), "kind"),
    "a threshold twice": (
        text_of(EXACT).replace("trimtab/sli", "trimtab/threshold"),
        f"{NOTES}[trimtab/threshold]",
    ),
    "a key that is a number": ("1: a", ""),
    "a key that is a list": ("? [a, b]\n: c", ""),
    "a key that is nothing": ("~: a", ""),
    "a merge": ("<<: {kind: SLO}", ""),
    "a Python object": ("!!python/object/apply:os.system [true]", ""),
    "a Python object inside": ("kind: !!python/name:os.system x", "kind"),
    "a binary value": ("kind: !!binary U0xP", "kind"),
    "a set": ("kind: !!set {SLO}", "kind"),
    "a tag of somebody": ("kind: !somebody SLO", "kind"),
    "a billion laughs": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        re.compile(r"[a-i]\[\d\]"),
    ),
    "an anchor inside itself": ("kind: &a [*a]", "kind[0]"),
    "an alias of nothing": ("kind: *ghost", "kind"),
    "an alias of another document": (text_of(EXACT).replace('"fast"', "&x fast") + "---\nkind: *x\n", "kind"),
    "deep lists": ("[" * 50_000, re.compile(r"(\[0\])+")),
    "deep mappings": ("".join(f"{' ' * n}a:\n" for n in range(DEPTH_MAX + 5)), re.compile(r"a(\.a)+")),
    "deep blocks": ("- " * 5_000 + "a", re.compile(r"(\[0\])+")),
    "too long a text": ("#" * (TEXT_BYTES_MAX + 1), None),
    "too many values": ("[" + "a," * 250_000 + "]", re.compile(r"\[\d+\]")),
    "too many documents": ("--- a\n" * 6_000, None),
    "a number of 5,000 digits": (text_of(EXACT).replace("0.95", "9" * 5_000), f"{OBJECTIVE}.target"),
    "a number with an endless exponent": (text_of(EXACT).replace("0.95", "1e99999"), f"{OBJECTIVE}.target"),
    "a number with an exponent of 400 digits": (
        text_of(EXACT).replace("0.95", "1e" + "9" * 400),
        f"{OBJECTIVE}.target",
    ),
    "a number with underscores": (text_of(EXACT).replace("0.95", "0_95"), f"{OBJECTIVE}.target"),
    "a word for a truth": (text_of(EXACT).replace('"isRolling": true', '"isRolling": yes'), f"{WINDOW}.isRolling"),
    "a key of 100,000 characters": ("kind: SLO\n? " + "x" * 100_000 + "\n: 1\n", re.compile(r"\['x{79}…\]")),
    "a key with a line break": (json.dumps({**EXACT, "a\nb": 1}), re.compile(r"\[.*\]")),
}


def dotted(path) -> str:
    """A path as faults tell it: `spec.objectives[0].target`."""
    parts = path.split(".") if isinstance(path, str) else path
    text = ""
    for part in parts:
        text += f"[{part}]" if str(part).isdigit() else f".{part}" if text else str(part)
    return text


def refused(capsys, tmp_path, text: str) -> list[tuple[str, str, str]]:
    """Field, problem and fix of every fault; asserts that nothing but faults came out."""
    path, output = tmp_path / "slos.yaml", tmp_path / "rules.yml"
    path.write_text(text, encoding="utf-8", newline="")
    assert main(["compile", str(path), "--region", "eu-west", "--today", "2026-08-01", "--output", str(output)]) == 1
    captured = capsys.readouterr()
    assert not output.exists()
    assert captured.out == ""
    assert len(captured.err) < 20_000
    lines = captured.err.splitlines()
    assert 1 <= len(lines) <= FAULTS_MAX
    faults = [re.fullmatch(r"(\S.*?): (.+); (.+)", line) for line in lines]
    assert all(faults), lines
    return [fault.groups() for fault in faults if fault]


def whole_set(broken: dict) -> str:
    """The valid set with `broken` in the place of what it was, first: nothing else may hide or cause a fault."""
    name = (broken.get("kind"), broken["metadata"].get("name") if isinstance(broken.get("metadata"), dict) else None)
    others = [valid for valid in VALID_SET if (valid["kind"], valid["metadata"]["name"]) != name]
    return text_of(broken, *others)


def test_the_set_that_is_broken_is_valid_itself(capsys, tmp_path):
    path = tmp_path / "slos.yaml"
    path.write_text(text_of(*VALID_SET))
    assert main(["compile", str(path), "--region", "eu-west", "--today", "2026-08-01"]) == 0
    assert "slo-whole" in capsys.readouterr().out


@pytest.mark.parametrize("name", BY_HAND)
def test_what_people_and_attackers_write_is_refused_with_place_and_fix(name, capsys, tmp_path):
    broken, field = BY_HAND[name]
    faults = refused(capsys, tmp_path, whole_set(broken) if isinstance(broken, dict) else broken)
    if isinstance(field, re.Pattern):
        assert any(re.fullmatch(rf"slos\.yaml\[\d+\]\.?(?:{field.pattern})", found) for found, _, _ in faults), faults
    elif field is None:
        assert [found for found, _, _ in faults] == ["slos.yaml"]
    else:
        assert any(re.sub(r"^slos\.yaml\[\d+\]\.?", "", found) == dotted(field) for found, _, _ in faults), faults
    assert all("docs/slos.md" not in fix for _, _, fix in faults), "the fix has to be said, not looked up"


WRONG = {
    "a list": [[]],
    "a mapping": {"x": {"y": 1}},
    "NaN": float("nan"),
    "a huge number": 10**17,
    "a truth in a list": [True],
    "text with a NUL": "\x00",
}


def mutations():
    """Every place of every valid document with every wrong value, and with an unknown field beside it."""
    for valid in VALID_SET:
        kind = f"{valid['kind']} {valid['metadata']['name']}"
        for path, value in places(valid):
            if path[-1] == "connectionDetails":
                continue
            for wrong, instead in WRONG.items():
                if not (isinstance(value, int | float) and wrong == "a huge number"):
                    yield pytest.param(changed(valid, path, instead), path, id=f"{kind}: {wrong} as {dotted(path)}")
            if isinstance(value, dict) and path[-1] != "annotations":
                yield pytest.param(
                    changed(valid, (*path, "unknown"), 1), (*path, "unknown"), id=f"{kind}: more in {dotted(path)}"
                )


MUTATIONS = list(mutations())


def test_there_are_hundreds_of_them():
    assert len(BY_HAND) >= 200
    assert len(MUTATIONS) >= 400


# Every fifth: five is prime to the six or seven of each place, so every wrong value meets every kind of place.
@pytest.mark.parametrize(("broken", "path"), MUTATIONS[::5])
def test_no_place_of_any_kind_takes_something_else(broken, path, capsys, tmp_path):
    faults = refused(capsys, tmp_path, text_of(broken, *(v for v in VALID_SET if v["kind"] != broken["kind"])))
    assert any(found.startswith("slos.yaml[0]") for found, _, _ in faults)
