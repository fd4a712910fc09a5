"""promtool on the alerts about the machinery."""

import subprocess
from pathlib import Path

import yaml

from slo_rules.fleet.alert import FleetAlert
from slo_rules.fleet_alerts import FLEET_GROUP, INTERVAL_S
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile, RuleGroup


def written(folder: Path, name: str, alert: FleetAlert, tests: list[dict[str, object]]) -> Path:
    """Tests of one alert, beside a rule file with nothing else: with all of them promtool evaluates for half a minute."""
    rules = RuleFile((RuleGroup(FLEET_GROUP, INTERVAL_S, (alert.rule(),)),))
    (folder / f"{name}.rules.yml").write_text(render_rules(rules))
    document = {"rule_files": [f"{name}.rules.yml"], "evaluation_interval": f"{INTERVAL_S}s", "tests": tests}
    path = folder / f"{name}.test.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=4_096))
    return path


def promtool(paths: list[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", "test", "rules", *paths], capture_output=True, text=True, timeout=60, check=False
    )
