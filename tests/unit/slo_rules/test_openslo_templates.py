"""Templates: each is one document that parses, compiles alone and with all the others, and says what to adapt."""

import subprocess

import pytest

from contracts import metric_names
from contracts.vocabulary import Region
from controller.drivers.envoy_bootstrap import LATENCY_BUCKETS_MS
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ClassicHistogram, EventRatio
from slo_rules.load import load_documents
from slo_rules.load_templates import template_names, template_summary, template_text
from slo_rules.openslo.documents import parse_set
from slo_rules.openslo.export import export
from slo_rules.openslo.reader import decode
from slo_rules.render import render_rules
from slo_rules.selectors import parse_selector


def slo_of(name: str):
    (slo,) = load_documents(template_text(name), source=name)
    return slo


def test_there_are_templates_for_our_own_replicas_envoy_triton_and_vllm():
    families = {name.split("-")[0] for name in template_names()}
    assert families == {"trimtab", "envoy", "triton", "vllm"}
    assert len(template_names()) == 12


@pytest.mark.parametrize("name", template_names())
def test_a_template_is_one_slo_that_compiles_and_leaves_nothing_unused(name):
    assert compile_slos((slo_of(name),), (Region("eu-west"),)).groups
    assert parse_set(decode(template_text(name), name)).notices == ()
    assert 20 < len(template_summary(name)) < 160
    assert slo_of(name).owner
    assert slo_of(name).description


@pytest.mark.prometheus
def test_prometheus_takes_the_rules_of_all_of_them(tmp_path):
    slos = tuple(slo_of(name) for name in template_names())
    assert load_documents(export(slos), source="exported") == slos
    rules = tmp_path / "rules.yml"
    rules.write_text(render_rules(compile_slos(slos, (Region("eu-west"),))))
    judged = subprocess.run(
        ["promtool", "check", "rules", str(rules)], capture_output=True, text=True, timeout=60, check=False
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_our_own_templates_name_metrics_that_we_export():
    ours = {value for name, value in vars(metric_names).items() if isinstance(value, str) and not name.startswith("_")}
    ratios = [slo_of(name).indicator for name in ("trimtab-availability", "trimtab-canary")]
    assert all(isinstance(ratio, EventRatio) for ratio in ratios)
    selectors = [text for ratio in ratios for text in (ratio.total, ratio.good, ratio.bad) if text is not None]
    assert {metric for text in selectors for metric in parse_selector(text).metrics} <= ours


def test_envoys_template_has_an_edge_of_our_own_gateways():
    indicator = slo_of("envoy-latency").indicator
    assert isinstance(indicator, ClassicHistogram)
    assert indicator.threshold in LATENCY_BUCKETS_MS
