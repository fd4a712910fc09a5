"""`python -m agent.simulated_gpus`, as people use it."""

import json
from pathlib import Path

import pytest

from agent.simulated_gpus.__main__ import SCRIPT_CHARS_MAX, main
from agent.simulated_gpus.directory import STATE, open_directory
from agent.simulated_gpus.faults import FaultName
from agent.simulated_gpus.state import create


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create(tmp_path / STATE, gpus=2)
    return tmp_path


@pytest.mark.compiler
def test_a_host_is_made_with_what_a_reader_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", str(tmp_path), "create", "--gpus", "3"]) == 0
    said = capsys.readouterr().out
    assert "3 simulated GPUs" in said
    assert f"LD_LIBRARY_PATH={tmp_path} TRIMTAB_SIMULATED_GPUS_STATE={tmp_path / STATE}" in said
    assert len(open_directory(tmp_path).gpus) == 3
    assert main(["--dir", str(tmp_path), "build"]) == 0


def test_a_gpu_is_broken_shown_and_healed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", str(directory), "fault", "xid", "79", "--gpu", "1"]) == 0
    assert capsys.readouterr().out == "simulated GPU 1: xid 79 (fell off the bus: every call answers GPU_IS_LOST)\n"
    assert main(["--dir", str(directory), "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "simulated" in shown["driver_version"]
    assert [(gpu["name"], gpu["error"]) for gpu in shown["gpus"]] == [
        ("Simulated H100 80GB", 0),
        ("Simulated H100 80GB", 15),
    ]
    assert main(["--dir", str(directory), "heal"]) == 0
    assert open_directory(directory).gpus[1].error == 0


def test_people_see_a_line_per_gpu(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", str(directory), "show"]) == 0
    head, *gpus = capsys.readouterr().out.splitlines()
    assert "570.86.15-simulated" in head
    assert len(gpus) == 2


def test_one_gpu_can_be_healed_alone(directory: Path) -> None:
    for gpu in ("0", "1"):
        assert main(["--dir", str(directory), "fault", "lost", "--gpu", gpu]) == 0
    assert main(["--dir", str(directory), "heal", "--gpu", "0"]) == 0
    assert [gpu.error for gpu in open_directory(directory).gpus] == [0, 15]


def test_a_script_is_played(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "script.yaml").write_text("- {after_s: 0, fault: hot}\n- {after_s: 0, fault: xid 94, gpu: 1}\n")
    assert main(["--dir", str(directory), "play", str(tmp_path / "script.yaml")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert open_directory(directory).gpus[1].ecc_uncorrected_volatile == 1


def test_a_script_is_played_whole_or_not_at_all(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("- {after_s: 0, fault: xid 95, gpu: 1}\n" + "#" * SCRIPT_CHARS_MAX)
    assert main(["--dir", str(directory), "play", str(script)]) == 2
    assert "longer than" in capsys.readouterr().err
    assert open_directory(directory).gpus[1].ecc_uncorrected_volatile == 0


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["fault", "melt"], 2, "no fault 'melt'"),
        (["fault", "hot", "--gpu", "7"], 2, "no simulated GPU 7: there are 2"),
        (["heal", "--gpu", "7"], 2, "no simulated GPU 7"),
        (["play", "/nowhere.yaml"], 1, "No such file"),
        (["--dir", "/nowhere", "show"], 1, "no simulated GPUs in"),
    ],
)
def test_what_cannot_be_done_is_told(
    directory: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, message: str
) -> None:
    assert main(["--dir", str(directory), *argv]) == code
    assert message in capsys.readouterr().err


def test_the_documentation_knows_every_fault() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "simulated-gpus.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in FaultName if not any(f"`{name}" in line.split("|")[1] for line in table)] == []


def test_the_help_explains_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    said = capsys.readouterr().out
    assert "examples:" in said
    assert all(f"  {name} " in said for name in FaultName)
