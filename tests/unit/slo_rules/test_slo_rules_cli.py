"""`python -m slo_rules`: exit statuses, and where the text goes."""

import pytest
import yaml

from slo_rules.__main__ import main
from slo_rules.load import load_documents
from slo_rules.load_templates import template_names, template_text

MONTHLY = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: monthly, labels: {team: a}, annotations: {trimtab/threshold: 200ms}}
spec:
  timeWindow: [{duration: 1M, calendar: {startTime: 2024-01-01 00:00:00, timeZone: Europe/Berlin}}]
  objectives: [{target: 0.95}]
"""


@pytest.fixture
def monthly(tmp_path):
    path = tmp_path / "monthly.yaml"
    path.write_text(MONTHLY)
    return str(path)


def test_check_counts_what_can_be_compiled(capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "1 SLOs in 1 files can be compiled\n"


def test_check_needs_no_day_and_tells_on_stderr_what_is_not_used(capsys, monthly):
    assert main(["check", monthly]) == 0
    captured = capsys.readouterr()
    assert captured.out == "1 SLOs in 1 files can be compiled\n"
    assert captured.err.startswith("note: monthly.yaml[0].metadata.labels: not used")


def test_compile_writes_to_stdout_or_to_a_file(capsys, tmp_path):
    assert main(["compile", "--region", "eu-west"]) == 0
    printed = capsys.readouterr().out
    assert main(["compile", "--region", "eu-west", "--output", str(tmp_path / "rules.yml")]) == 0
    assert (tmp_path / "rules.yml").read_text() == printed
    assert 'region="eu-west"' in printed
    assert yaml.safe_load(printed)["groups"]


def test_a_calendar_window_compiles_for_a_day(capsys, monthly):
    assert main(["compile", monthly]) == 1
    assert "today" in capsys.readouterr().err
    assert main(["compile", monthly, "--today", "2026-08-01"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["groups"]
    with pytest.raises(SystemExit) as caught:
        main(["compile", monthly, "--today", "yesterday"])
    assert caught.value.code == 2


def test_tests_writes_rules_and_files_for_promtool_that_name_them(tmp_path):
    folder = tmp_path / "build"
    assert main(["tests", "--output", str(folder)]) == 0
    suites = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("speech-latency*_test.yml"))]
    assert suites
    named = {name for suite in suites for name in suite["rule_files"]}
    assert all(yaml.safe_load((folder / name).read_text())["groups"] for name in named)


def test_export_prints_documents_that_say_the_same(capsys, monthly):
    assert main(["export", monthly]) == 0
    assert load_documents(capsys.readouterr().out, source="exported") == load_documents(MONTHLY, source="written")


def test_templates_lists_them_or_prints_one(capsys):
    assert main(["templates"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(template_names())
    assert main(["templates", "vllm-latency"]) == 0
    assert capsys.readouterr().out == template_text("vllm-latency")
    assert main(["templates", "../objectives/speech-latency"]) == 1
    assert "choose one of" in capsys.readouterr().err


def test_every_fault_is_told_on_stderr_and_by_the_exit_status(capsys, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: SLO\n---\nkind: SLX\n")
    assert main(["check", str(bad)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(":")[0] for line in captured.err.splitlines()] == [
        "bad.yaml[0].apiVersion",
        "bad.yaml[0].metadata",
        "bad.yaml[0].spec",
        "bad.yaml[1].kind",
    ]


def test_what_slos_say_about_each_other_is_told_with_the_documents(capsys, tmp_path):
    circle = tmp_path / "circle.yaml"
    circle.write_text(
        "---".join(
            f"""
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}, annotations: {{trimtab/threshold: 200ms, trimtab/depends-on: {other}}}}}
spec: {{objectives: [{{target: 0.95}}]}}
"""
            for name, other in (("a", "b"), ("b", "a"))
        )
    )
    assert main(["compile", str(circle)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(":")[0] for line in captured.err.splitlines()] == [
        "circle.yaml[0].metadata.annotations[trimtab/depends-on]",
        "circle.yaml[1].metadata.annotations[trimtab/depends-on]",
    ]


def test_a_file_that_cannot_be_written_is_told_without_a_traceback(capsys, tmp_path):
    assert main(["compile", "--output", str(tmp_path / "missing" / "rules.yml")]) == 1
    assert "missing" in capsys.readouterr().err


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "python -m slo_rules compile --golden" in capsys.readouterr().out
