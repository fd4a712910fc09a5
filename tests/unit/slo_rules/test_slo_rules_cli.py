"""`python -m slo_rules`: exit statuses, and where the text goes."""

import pytest
import yaml

from slo_rules.__main__ import main


def test_check_counts_what_can_be_compiled(capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "1 SLOs in 1 files can be compiled\n"


def test_compile_writes_to_stdout_or_to_a_file(capsys, tmp_path):
    assert main(["compile", "--region", "eu-west"]) == 0
    printed = capsys.readouterr().out
    assert main(["compile", "--region", "eu-west", "--output", str(tmp_path / "rules.yml")]) == 0
    assert (tmp_path / "rules.yml").read_text() == printed
    assert 'region="eu-west"' in printed
    assert yaml.safe_load(printed)["groups"]


def test_a_fault_is_told_on_stderr_and_by_the_exit_status(capsys, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: SLO\n")
    assert main(["check", str(bad)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bad.yaml[0].apiVersion: ")


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "python -m slo_rules compile --golden" in capsys.readouterr().out
