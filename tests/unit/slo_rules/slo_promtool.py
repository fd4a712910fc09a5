"""Stories for promtool: SLOs, what is scraped, and what the compiled rules must say about it."""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import yaml

from contracts.vocabulary import Region
from slo_rules.compiler import compile_slos
from slo_rules.fleet_alerts import fleet_group
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

EU, US = Region("eu"), Region("us")
SCRAPE_S = 30


@dataclass(frozen=True)
class Story:
    """One promtool test with the rules of its own SLOs only: promtool evaluates every rule every minute."""

    slos: tuple[Slo, ...]
    series: dict[str, str]
    """promtool's notation, a value every 30 s."""
    expected: tuple[tuple[int, str, float], ...]
    """(minute, expression without labels, value rounded to 0.001)."""
    regions: tuple[Region, ...] = (EU,)
    begins_unix_s: int = 0
    """What the rules take for promtool's time zero, which is 1970."""
    today: date = field(default=date(2026, 3, 1))


def per_scrape(*stretches: tuple[int, float]) -> str:
    """A counter: (minutes, increase per scrape) after each other."""
    parts, value = ["0"], 0.0
    for minutes, step in stretches:
        parts.append(f"{value + step:g}+{step:g}x{minutes * 60 // SCRAPE_S - 1}")
        value += step * minutes * 60 // SCRAPE_S
    return " ".join(parts)


def firing(alert: str, **labels: str) -> str:
    """How many of these alerts fire."""
    chosen = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f'count(ALERTS{{alertname="{alert}",alertstate="firing"{chosen}}}) or vector(0)'


def judge(folder: Path, stories: dict[str, Story]) -> dict[str, str]:
    """Name → "" when promtool is satisfied, else what it said. One promtool for all: most of its time is its start."""
    names = {f"{index}.test.yml": name for index, name in enumerate(stories)}
    for index, story in enumerate(stories.values()):
        (folder / f"{index}.rules.yml").write_text(_rules(story))
        (folder / f"{index}.test.yml").write_text(yaml.safe_dump(_test(f"{index}.rules.yml", story), width=100_000))
    result = subprocess.run(
        ["promtool", "test", "rules", *(str(folder / name) for name in names)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    said = re.split(r"Unit Testing:\s+", result.stdout)
    return dict(_verdicts(said[1:], names)) | ({"": said[0]} if said[0].strip() else {})


def _verdicts(said: Iterable[str], names: dict[str, str]) -> Iterable[tuple[str, str]]:
    for text in said:
        path, _, verdict = text.partition("\n")
        yield names[Path(path.strip()).name], "" if verdict.strip() == "SUCCESS" else verdict


def _rules(story: Story) -> str:
    return render_rules(_compiled(story)).replace("time()", f"(time() + {story.begins_unix_s})")


def _compiled(story: Story) -> RuleFile:
    compiled = compile_slos(story.slos, story.regions, story.today)
    fleet = fleet_group().name
    return RuleFile(tuple(group for group in compiled.groups if group.name != fleet))


def _test(rules_file: str, story: Story) -> dict[str, object]:
    return {
        "rule_files": [rules_file],
        "evaluation_interval": "1m",
        "group_eval_order": [group.name for group in _compiled(story).groups],
        "tests": [
            {
                "interval": f"{SCRAPE_S}s",
                "input_series": [{"series": series, "values": values} for series, values in story.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"round(sum({expr}), 0.001)",
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": "{}", "value": value}],
                    }
                    for minute, expr, value in story.expected
                ],
            }
        ],
    }
