"""An owner changes: do the rules survive it? A live Prometheus whose rule files are exchanged under it.

Rules run every second here, since nothing about the change depends on how often. A rule that fails says so in the API.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from bench.rulelab.engines import OURS, REGION, SLOTH
from bench.rulelab.live import replica
from bench.rulelab.report import Section, table
from bench.rulelab.server import program
from bench.rulelab.sloth import sloth_rules
from bench.rulelab.traffic import HISTOGRAM, SCENE, THRESHOLD_S, histogram_slo
from contracts.metric_names import JOB_REPLICAS
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

SLO = histogram_slo("relabel", 0.95)
EVERY_S = 1
SETTLES_S = 8
"""Some evaluations of every rule, and of those that read it."""
OWNERS = ("tts", "speech")


def measure() -> Section:
    """Rules that fail after the change, by engine."""
    failing = {
        SLOTH.name: _failing(lambda owner: sloth_rules(SLO, (("owner", owner),))),
        OURS.name: _failing(lambda owner: OURS.rules(replace(SLO, owner=owner))),
    }
    rows = [(name, ", ".join(failed) or "none") for name, failed in failing.items()]
    missed = tuple(f"label change: {record} fails" for record in failing[OURS.name])
    return Section("Rules that fail after the owner's label changed", table(("engine", "failing rules"), rows), missed)


def _failing(rules: Callable[[str], RuleFile]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="rulelab-") as name, replica(_page) as address:
        folder = Path(name)
        config = {
            "global": {"scrape_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {
                    "job_name": JOB_REPLICAS,
                    "static_configs": [{"targets": [address], "labels": {"region": REGION, SCENE: "relabel"}}],
                }
            ],
        }
        _write(folder, rules(OWNERS[0]))
        with program(folder, folder / "data", config) as url:
            time.sleep(SETTLES_S)
            _write(folder, rules(OWNERS[1]))
            httpx.post(f"{url}/-/reload", timeout=10).raise_for_status()
            time.sleep(SETTLES_S)
            groups = httpx.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    return sorted({rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"})


def _write(folder: Path, rules: RuleFile) -> None:
    often = tuple(replace(group, interval_s=EVERY_S) for group in rules.groups)
    (folder / "rules.yml").write_text(render_rules(RuleFile(often)))


def _page(scrape: int) -> str:
    return (
        f'{HISTOGRAM}_count {10 * scrape}\n{HISTOGRAM}_bucket{{le="+Inf"}} {10 * scrape}\n'
        f'{HISTOGRAM}_bucket{{le="{THRESHOLD_S}"}} {9 * scrape}\n'
    )
