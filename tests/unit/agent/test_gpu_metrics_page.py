"""The GPU metrics: what is promised in the contract, what is written in docs/gpu-metrics.md and what is rendered are one."""

import random
import re
from pathlib import Path

import pytest

from agent.core.gpu_record import ECC_SEVERITIES
from agent.degradation import Degradations
from agent.exporter.gpu_table import ROWS
from agent.exporter.gpus import GpuSection
from agent.exporter.page import Page
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemoryFile
from agent.probes.nvml.fields import FAST_FIELDS, SLOW_FIELDS
from agent.xid_table import shipped_table
from chassis.clock import ManualClock
from contracts import metric_names

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENT = (REPOSITORY / "docs" / "gpu-metrics.md").read_text(encoding="utf-8")
OWN, DCGM = DOCUMENT.split("## From DCGM")
CONTRACT = {
    value
    for name, value in vars(metric_names).items()
    if name.startswith(("GPU_", "AGENT_NVML_", "AGENT_KERNEL_LOG")) and isinstance(value, str)
}
JOINED = {"gpu_process_memory_used_bytes", "gpu_container_info", "gpu_foreign_processes"}
"""Rendered by the section that knows owners of processes."""
DOCUMENTED = {
    name: (kind, {label.strip() for label in labels.split(",") if label.strip()})
    for name, kind, labels in re.findall(r"^\| `(\w+)`(?: †)? \| (\w+) \|([\w, ]*)\|", OWN, flags=re.MULTILINE)
}
DERIVED = {"sm_clock_ratio", "memory_clock_ratio"}
HIDDEN = {"clock_event_reasons"}


def full_page(tmp_path):
    """One GPU that has everything, beside one that is lost."""
    clock = ManualClock()
    watch = GpuWatch(
        sources=GpuSources(
            env={},
            log_path=tmp_path / "log",
            memory=GpuMemoryFile(tmp_path / "gpus.json"),
            boot_id=str,
            kernel_log=tmp_path / "kmsg",
        ),
        table=shipped_table(),
        clock=clock,
        rng=random.Random(1),
        degradations=Degradations(lambda: None),
    )
    values = {row.value: 1 for row in ROWS if row.value not in DERIVED}
    values |= {"sm_clock_max_hertz": 2, "memory_clock_max_hertz": 2, "clock_event_reasons": 64}
    text = ",".join(f'"{name}":{number}' for name, number in values.items())
    mig = '[{"uuid":"MIG-1","gpu_instance":1,"compute_instance":0,"profile":"1g.10gb","memory_used_bytes":1,"memory_total_bytes":2}]'
    for line in (
        '{"kind":"driver","up":true,"reason":"","version":"580.1-simulated","gpus":2}',
        '{"kind":"info","gpu":0,"uuid":"GPU-a","pci_bus_id":"00000000:18:00.0","model":"M","serial":"S","vbios":"V","values":{}}',
        f'{{"kind":"gpu","gpu":0,"uuid":"GPU-a","up":true,"reason":"","values":{{{text}}},"mig":{mig}}}',
        '{"kind":"gpu","gpu":1,"uuid":"GPU-b","up":false,"reason":"gpu_lost"}',
    ):
        watch.take(line.encode())
    clock.advance(1)
    watch.take(b'{"kind":"xid","gpu":0,"uuid":"GPU-a","xid":64}')
    section, page = GpuSection(gpus=watch, clock=clock), Page()
    section.write(page)
    again = Page()
    section.write(again)
    assert again.text() == page.text(), "what is remembered between pages changes nothing"
    return page.text()


@pytest.fixture
def page(tmp_path):
    return full_page(tmp_path)


def families(page):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, flags=re.MULTILINE))


def labels_of(page):
    found = {}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} \S+$", page, flags=re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_name_of_the_contract_is_rendered_and_no_other(page):
    assert set(families(page)) == CONTRACT - JOINED


def test_every_name_of_the_contract_is_documented_and_no_other():
    assert set(DOCUMENTED) == CONTRACT


def test_documented_types_and_labels_are_those_rendered(page):
    kinds, labels = families(page), labels_of(page)
    for name, (kind, more) in DOCUMENTED.items():
        if name in JOINED:
            continue
        assert kinds[name] == kind, name
        own = {"gpu", "uuid"} if name.startswith("gpu_") and name != "gpu_driver_up" else set()
        assert labels.get(name, set()) == own | more, name


def test_total_stands_on_counters_and_only_there(page):
    assert all((kind == "counter") == name.endswith("_total") for name, kind in families(page).items())


def test_no_family_is_written_twice_and_no_series(page):
    types = re.findall(r"^# TYPE (\S+)", page, flags=re.MULTILINE)
    series = re.findall(r"^(\w\S*(?: \S+=\S+)*\}?) \S+$", page, flags=re.MULTILINE)
    assert len(types) == len(set(types))
    assert len(series) == len(set(series))


def test_the_alias_table_speaks_of_metrics_that_exist():
    targets = re.findall(r"^\| `DCGM_\w+` \| `(\w+)", DCGM, flags=re.MULTILINE)
    aliases = re.findall(r"^\| `(DCGM_\w+)`", DCGM, flags=re.MULTILINE)
    assert len(targets) == len(aliases) == len(set(aliases)) > 30
    assert set(targets) <= CONTRACT


def test_a_lost_gpu_shows_its_state_and_counts_and_no_value(page):
    shown = {line.split("{")[0] for line in page.splitlines() if 'uuid="GPU-b"' in line}
    assert shown == {
        "gpu_up",
        "gpu_sample_age_seconds",
        "gpu_recommended_action",
        "gpu_xid_errors_total",
        "gpu_ecc_events_total",
    }
    assert 'gpu_up{gpu="1",uuid="GPU-b",reason="gpu_lost"} 0\n' in page


def test_a_simulated_gpu_says_so(page):
    assert 'driver="580.1-simulated"' in page
    assert 'simulated="true"} 1\n' in page


def test_an_xid_shows_as_count_time_action_and_note(page):
    ids = 'gpu="0",uuid="GPU-a"'
    assert f'gpu_xid_errors_total{{{ids},xid="64"}} 1\n' in page
    assert f'gpu_xid_errors_total{{{ids},xid="79"}} 0\n' in page
    assert f'gpu_xid_last_timestamp_seconds{{{ids},xid="64"}} 1700000001\n' in page
    assert f'gpu_health_note{{{ids},note="rma_candidate"}} 1\n' in page


def test_every_field_that_is_read_is_shown():
    assert {field.name for field in FAST_FIELDS + SLOW_FIELDS} <= {row.value for row in ROWS} | HIDDEN
    assert ECC_SEVERITIES == ("single_bit", "double_bit")
