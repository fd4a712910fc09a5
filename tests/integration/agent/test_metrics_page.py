"""The page of a real agent, with a replica on a simulated GPU: read by Prometheus' own parsers and held to the contract."""

import gzip
import re
import subprocess

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.simulated_gpus.state import SimulatedProcess
from contracts import metric_names as names

CONDITIONAL = {
    names.AGENT_DEGRADED,  # a part that cannot do its work
    names.AGENT_REGION_RTT_SECONDS,  # gateways of other regions
    names.AGENT_REGION_RTT_NEWEST_SECONDS,
    names.AGENT_REGION_PROBES_TOTAL,
    names.HOST_CGROUP_MEMORY_LIMIT_BYTES,  # a limit
    names.HOST_CGROUP_CPU_LIMIT,
    names.HOST_PRESSURE_RATIO,  # a kernel with PSI
    names.HOST_PRESSURE_STALLED_SECONDS_TOTAL,
}
"""What needs something that this host may not have; each is held to its own test."""
JOINS = {names.GPU_CONTAINER_INFO, names.GPU_PROCESS_MEMORY_USED_BYTES, names.GPU_FOREIGN_PROCESSES}


def families(text: str) -> dict[str, str]:
    """Name → kind, as it is written."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE))


def contract(*prefixes: str) -> set[str]:
    return {
        value
        for name, value in vars(names).items()
        if name.startswith(prefixes) and isinstance(value, str) and name.isupper()
    }


@pytest.fixture
def host(make_host, simulated_gpus, wait_until):
    """One replica and one stranger on the first of two GPUs."""
    gpus = simulated_gpus(2)
    host = make_host(simulated_gpus=gpus.directory, slots=1)
    host.boot()
    gpus.state.run_processes(0, [SimulatedProcess(host.pid(0), 3 << 30), SimulatedProcess(host.agent.pid, 1 << 30)])
    host.page()  # the histogram of scrapes begins with the first one
    shown = {*contract("AGENT_", "HOST_"), *JOINS} - CONDITIONAL
    wait_until(lambda: shown <= set(families(host.page())), within_s=30, what="every family is shown")
    return host


def test_the_page_and_the_contract_name_the_same_and_each_sample_is_read_once(host):
    text = host.page()
    shown = families(text)
    assert set(shown) <= contract("AGENT_", "HOST_", "GPU_")
    assert {*contract("AGENT_", "HOST_"), *JOINS} - CONDITIONAL <= set(shown)
    for name, kind in shown.items():
        assert name.endswith("_total") == (kind == "counter"), name
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len(lines) > 200
    assert len(set(samples)) == len(samples)


@pytest.mark.prometheus
def test_promtool_finds_nothing_to_complain_about(host):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=host.page(), capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_owners_of_gpu_memory_are_told_apart_and_the_agent_measures_itself(host, wait_until):
    wait_until(lambda: 'process="nvml_worker"' in host.page(), within_s=15, what="the worker is measured")
    page = host.page()
    joined = [line for line in page.splitlines() if line.startswith("gpu_process_memory_used_bytes{")]
    replica, stranger = host.pid(0), host.agent.pid
    assert any(f'pid="{replica}"' in line and 'replica="eu-west-a-0"' in line for line in joined)
    assert any(f'pid="{stranger}"' in line and 'replica=""' in line for line in joined)
    foreign = {line.rpartition(" ")[2] for line in page.splitlines() if line.startswith("gpu_foreign_processes{")}
    assert foreign == {"0", "1"}
    for process in ("agent", "nvml_worker"):
        for metric in (names.AGENT_PROCESS_RESIDENT_BYTES, names.AGENT_PROCESS_OPEN_FDS):
            (value,) = re.findall(rf'^{metric}{{process="{process}"}} (\S+)$', page, flags=re.MULTILINE)
            assert float(value) > 0
    assert re.search(r'^agent_build_info\{version="\S+",runtime="process"\} 1$', page, flags=re.MULTILINE)
    assert re.search(r"^agent_sync_last_success_timestamp_seconds 1\d{9}", page, flags=re.MULTILINE)
    assert re.search(r"^agent_journal_bytes [1-9]", page, flags=re.MULTILINE)


def test_the_page_is_packed_for_prometheus_and_plain_for_people(host):
    with httpx.Client() as client:
        plain = client.get(host.agent_url + "/metrics", headers={"Accept-Encoding": "identity"})
        with client.stream("GET", host.agent_url + "/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
            raw = b"".join(answer.iter_raw())
    assert "content-encoding" not in plain.headers
    assert int(answer.headers["content-length"]) == len(raw) < len(plain.content) / 5
    assert set(families(gzip.decompress(raw).decode())) == set(families(plain.text))
