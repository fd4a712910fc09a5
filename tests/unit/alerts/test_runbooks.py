"""Every alert has a runbook, and every runbook an alert; and whatever a runbook tells somebody to type exists."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup

from agent.settings import AgentSettings
from contracts import metric_names
from contracts.vocabulary import Region, SloId
from controller.settings import ControllerSettings, _knobs_model
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ClassicHistogram, ExactCounters
from slo_rules.model import Slo
from tests.metric_reader import KNOWN, metrics_in
from tests.unit.controller.api.rig import Rig
from trimtab.cli.app import app

REPOSITORY = Path(__file__).resolve().parents[3]
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(set(RUNBOOKS.glob("*.md")) - {INDEX})
ALERT_NAMES = {value for name, value in vars(metric_names).items() if name.startswith("ALERT_")}
SLOS = (
    Slo(SloId("speech"), 0.95, ExactCounters(0.2)),
    Slo(SloId("theirs"), 0.95, ClassicHistogram("http_request_seconds", 0.2)),
)
ALERTS = compile_slos(SLOS, (Region("eu-west"),)).alerts
HEADINGS = (
    "**Meaning.**",
    "**What happens by itself.**",
    "**Look.**",
    "**Do.**",
    "**Stop it.**",
    "**Escalate when**",
    "**Over when**",
)
NOT_METRICS = {"gpu_memory", "gpu_lost", "slo_revision"}
"""Values of labels, and a field of an answer, that look like names of metrics."""
FAMILIES = ("tts_", "agent_", "gpu_", "host_", "controller_", "slo_", "slo:", "prometheus_")


def blocks(text: str, language: str) -> Iterator[str]:
    """The lines of every fenced block of that language."""
    for block in re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        yield from (line.strip() for line in block.splitlines() if line.strip())


def inline_code(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE))


def commands(text: str) -> Iterator[list[str]]:
    """Every `trimtab …` that somebody could type; a name alone is one, too."""
    for code in inline_code(text):
        if code == "trimtab" or code.startswith("trimtab "):
            yield shlex.split(code)[1:]


# ── one to one ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_named_alert_is_compiled_and_none_besides():
    assert {alert.alert for alert in ALERTS} == ALERT_NAMES


def test_every_alert_links_to_the_runbook_of_its_name():
    for alert in ALERTS:
        link = REPOSITORY / dict(alert.annotations)["runbook"]
        assert link == RUNBOOKS / f"{alert.alert}.md"
        assert link in PAGES


def test_no_runbook_is_left_without_an_alert():
    assert {path.stem for path in PAGES} == ALERT_NAMES


def test_the_index_names_every_runbook_in_the_column_of_its_severity():
    rows = [line.split("|") for line in INDEX.read_text().splitlines() if line.startswith("|") and "](" in line]
    listed = {
        (name, severity)
        for row in rows
        for severity, cell in (("page", row[2]), ("ticket", row[3]))
        for name in re.findall(r"\]\((\w+)\.md\)", cell)
    }
    assert listed - {("Watchdog", "page")} == {
        (alert.alert, severity) for alert in ALERTS if (severity := dict(alert.labels)["severity"]) != "none"
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_runbook_says_everything_in_the_same_order(path):
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    positions = [text.find(f"\n{heading}") for heading in HEADINGS]
    assert -1 not in positions, dict(zip(HEADINGS, positions, strict=True))
    assert positions == sorted(positions)


def test_every_link_leads_to_a_file():
    for path in (INDEX, *PAGES):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


# ── what somebody types ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.prometheus
def test_promtool_understands_every_query(tmp_path):
    found = [(path.stem, query) for path in PAGES for query in blocks(path.read_text(), "promql")]
    rules = [
        {"record": f"runbook:{number}", "expr": query, "labels": {"n": str(number)}}
        for number, (_, query) in enumerate(found)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(found) > len(PAGES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_queries_and_prose_name_only_metrics_that_exist(path):
    text = path.read_text()
    queried = {name for query in blocks(text, "promql") for name in metrics_in(query)}
    assert queried - KNOWN == set()
    mentioned = {re.split(r"[{\[ ]", code)[0] for code in inline_code(text) if code.startswith(FAMILIES)}
    assert mentioned - KNOWN - NOT_METRICS == set()


@pytest.mark.parametrize("path", [INDEX, *PAGES], ids=lambda path: path.stem)
def test_every_command_exists_with_its_arguments_and_options(path, tmp_path, monkeypatch):
    (tmp_path / "slo.yaml").touch()  # a file that a command names has to be there
    monkeypatch.chdir(tmp_path)
    for words in commands(path.read_text()):
        parse(typer.main.get_command(app), words)


def parse(command, words: list[str], parent=None) -> None:
    """As the shell would, without running anything."""
    if not isinstance(command, TyperGroup):
        command.make_context(command.name, list(words), parent=parent)
        return
    context = typer.Context(command, info_name=command.name, parent=parent)
    chosen = command.get_command(context, words[0])
    assert chosen is not None, f"no command {words[0]}"
    parse(chosen, words[1:], context)


@pytest.mark.parametrize(
    "words",
    [["status", "--yaml"], ["restart"], ["obliterate"], ["slo", "drop"], ["shift", "eu", "us", "--share", "7"]],
    ids=" ".join,
)
def test_a_command_that_does_not_exist_is_found_out(words):
    wrong_usage = typer.BadParameter.__base__
    assert wrong_usage is not None
    with pytest.raises((wrong_usage, AssertionError)):
        parse(typer.main.get_command(app), words)


def test_every_setting_and_every_path_of_the_api_exists(tmp_path):
    text = "\n".join(path.read_text() for path in (INDEX, *PAGES))
    settings = {
        kind.variable(field)
        for kind in (AgentSettings, ControllerSettings, _knobs_model())
        for field in kind.model_fields
    }
    assert set(re.findall(r"TRIMTAB_(?:AGENT|CONTROLLER)_[A-Z_]+", text)) - settings == set()
    rig = Rig(tmp_path, {})
    routes = set(rig.app.openapi()["paths"])
    rig.database.close()
    assert set(re.findall(r"(?:GET|POST|PUT|DELETE) (/api/[\w/]+)", text)) - routes == set()
