"""Rule files as YAML text: the same rules always give the same bytes, so a diff shows what changed and nothing else."""

import yaml

from slo_rules import promql
from slo_rules.rule_file import AlertingRule, RecordingRule, RuleFile, RuleGroup

HEADER = "# Compiled from SLO documents by `python -m slo_rules compile`: edit those instead.\n"
_LINE_CHARS = 4_096
"""Wide enough that no expression is folded: folded PromQL makes poor diffs."""
_DUMPER = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper
"""The same text; with libyaml a thousand SLOs take a second or two instead of ten."""


def render_rules(rule_file: RuleFile) -> str:
    """A file that `promtool check rules` accepts."""
    document = {"groups": [_group(group) for group in rule_file.groups]}
    return HEADER + yaml.dump(document, Dumper=_DUMPER, sort_keys=False, width=_LINE_CHARS, allow_unicode=True)


def _group(group: RuleGroup) -> dict[str, object]:
    return {
        "name": group.name,
        "interval": promql.duration(group.interval_s),
        "rules": [_recording(rule) if isinstance(rule, RecordingRule) else _alerting(rule) for rule in group.rules],
    }


def _recording(rule: RecordingRule) -> dict[str, object]:
    labels = {"labels": dict(rule.labels)} if rule.labels else {}
    return {"record": rule.record, "expr": rule.expr, **labels}


def _alerting(rule: AlertingRule) -> dict[str, object]:
    waits = {"for": promql.duration(rule.for_s)} if rule.for_s else {}
    return {
        "alert": rule.alert,
        "expr": rule.expr,
        **waits,
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
    }
