"""Every alert about the machinery, in promtool: quiet before, patient, firing with the labels it is routed by, and over again."""

import pytest

from contracts.metric_names import (
    ALERT_ALERTMANAGER_ERRORS,
    ALERT_ALERTMANAGER_UNREACHABLE,
    ALERT_WATCHDOG,
    ALERT_XID_STORM,
)
from slo_rules import promql
from slo_rules.fleet.gpus import XIDS_MAX
from slo_rules.fleet_alerts import INTERVAL_S
from tests.unit.slo_rules.fleet_cases import ALERTS, CALM_S, CASES, GPU, OF_GPU, QUIET, QUIET_S, Case, Quiet, held
from tests.unit.slo_rules.fleet_promtool import promtool, written

pytestmark = pytest.mark.prometheus
ALERTMANAGERS = (ALERT_ALERTMANAGER_UNREACHABLE, ALERT_ALERTMANAGER_ERRORS)


def firing(alert: str) -> str:
    return promql.selector("ALERTS", promql.equals("alertname", alert), promql.equals("alertstate", "firing"))


def sample(labels: dict[str, str]) -> dict[str, object]:
    return {"labels": promql.selector("ALERTS", *(promql.equals(*each) for each in labels.items())), "value": 1}


def timed(case: Case) -> dict[str, object]:
    """Calm, trouble for somewhat longer than the alert's patience, and calm again."""
    slack_s = 2 * INTERVAL_S
    shown_s = CALM_S + case.shows_after_s
    fires_s = shown_s + ALERTS[case.alert].for_s
    trouble_s = fires_s + slack_s - CALM_S
    over_s = CALM_S + trouble_s + case.lingers_s
    labels = {
        "alertname": case.alert,
        "alertstate": "firing",
        "severity": str(ALERTS[case.alert].severity),
        **case.labels,
    }
    expected = [
        (CALM_S - INTERVAL_S, []),
        (max(fires_s - slack_s, CALM_S + ALERTS[case.alert].for_s - INTERVAL_S), []),
        (fires_s, [sample(labels)]),
        (over_s + slack_s, []),
    ]
    return {
        "name": f"{case.alert} {case.labels}",
        "interval": f"{INTERVAL_S}s",
        "input_series": [
            {"series": each.series, "values": each.values(trouble_s, over_s + CALM_S)} for each in case.series
        ],
        "promql_expr_test": [
            {"expr": firing(case.alert), "eval_time": f"{at_s}s", "exp_samples": samples} for at_s, samples in expected
        ],
    }


def silent(case: Quiet) -> dict[str, object]:
    """For longer than any patience."""
    pairs = [each.rsplit(" ", 1) for each in case.series]
    return {
        "name": f"{case.alert} is quiet: {case.why}",
        "interval": f"{INTERVAL_S}s",
        "input_series": [{"series": series, "values": held(value, QUIET_S)} for series, value in pairs],
        "promql_expr_test": [
            {"expr": f'ALERTS{{alertname="{case.alert}"}}', "eval_time": f"{QUIET_S}s", "exp_samples": []}
        ],
    }


def xids(count: int, expected: bool) -> dict[str, object]:
    """`count` errors within ten minutes, scraped at times that no evaluation falls upon."""
    labels = {"alertname": ALERT_XID_STORM, "alertstate": "firing", "severity": "ticket", **OF_GPU}
    steps = " ".join(f"{number}x20" for number in range(1, count))
    return {
        "name": f"{count} Xids",
        "interval": "7s",
        "input_series": [
            {"series": f'gpu_xid_errors_total{{{GPU},xid="13"}}', "values": f"0x200 {steps} {count}x300"},
        ],
        "promql_expr_test": [
            {"expr": firing(ALERT_XID_STORM), "eval_time": "45m", "exp_samples": [sample(labels)] if expected else []}
        ],
    }


def test_the_fifth_driver_error_is_a_storm_and_the_fourth_is_not(tmp_path):
    tests = [xids(XIDS_MAX, expected=False), xids(XIDS_MAX + 1, expected=True)]
    result = promtool([written(tmp_path, "xids", ALERTS[ALERT_XID_STORM], tests)])
    assert result.returncode == 0, result.stdout + result.stderr


def test_two_minutes_without_alertmanager_are_a_restart_and_no_page(tmp_path):
    test = {
        "interval": f"{INTERVAL_S}s",
        "input_series": [
            {"series": "prometheus_notifications_dropped_total", "values": "0x40 1+1x8 9x80"},
            {
                "series": 'prometheus_notifications_errors_total{alertmanager="http://a:9093"}',
                "values": "0x40 1+1x8 9x80",
            },
        ],
        "promql_expr_test": [
            {"expr": f"last_over_time({firing(name)}[30m])", "eval_time": "30m", "exp_samples": []}
            for name in ALERTMANAGERS
        ],
    }
    result = promtool([written(tmp_path, name, ALERTS[name], [test]) for name in ALERTMANAGERS])
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_case():
    assert {case.alert for case in CASES} | {ALERT_WATCHDOG} == set(ALERTS)


def test_every_alert_is_quiet_patient_firing_and_over(tmp_path):
    paths = [
        written(
            tmp_path,
            name,
            alert,
            [timed(case) for case in CASES if case.alert == name]
            + [silent(case) for case in QUIET if case.alert == name],
        )
        for name, alert in ALERTS.items()
        if name != ALERT_WATCHDOG
    ]
    result = promtool(paths)
    assert result.returncode == 0, result.stdout + result.stderr
