"""The library is built once per version of its sources, agrees with its mirror in Python, and says how to get a compiler."""

import shutil
from pathlib import Path

import pytest

from agent.simulated_gpus import build as builder
from agent.simulated_gpus.build import LIBRARY, STAMP, build
from agent.simulated_gpus.errors import BuildError, CompilerMissingError


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("found", "instead", "named"),
    [
        ("uint32_t hang; ", "uint64_t hang; ", "gpu_state.hang"),
        ("    uint32_t memory_temperature_c;\n", "", "gpu_state.slowdown_c"),
        ("#define EVENTS_KEPT 256", "#define EVENTS_KEPT 128", "host_state.events"),
        ("    uint64_t calls;", "    uint64_t invented;\n    uint64_t calls;", "gpu_state.calls"),
    ],
)
def test_the_compiler_refuses_a_layout_that_differs_from_its_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str, instead: str, named: str
) -> None:
    sources = tmp_path / "nvml"
    shutil.copytree(builder.SOURCES, sources)
    header = sources / "state.h"
    assert found in header.read_text()
    header.write_text(header.read_text().replace(found, instead))
    monkeypatch.setattr(builder, "SOURCES", sources)
    with pytest.raises(BuildError, match=f"disagree about {named}"):
        build(tmp_path / "out")


@pytest.mark.compiler
def test_an_unchanged_library_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(tmp_path).stat().st_mtime_ns
    monkeypatch.setenv("PATH", "/nowhere")
    assert build(tmp_path).stat().st_mtime_ns == first


@pytest.mark.compiler
def test_changed_sources_are_built_again(tmp_path: Path) -> None:
    (tmp_path / STAMP).write_text("another version")
    (tmp_path / LIBRARY).write_bytes(b"an old library")
    assert build(tmp_path).read_bytes().startswith(b"\x7fELF")


@pytest.mark.compiler
def test_no_compiler_has_a_warning_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "FLAGS", (*builder.FLAGS, "-Wall", "-Wextra", "-Wshadow", "-Werror"))
    build(tmp_path)


def test_without_a_compiler_the_message_says_what_installs_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CompilerMissingError, match="apt-get install -y gcc libc6-dev"):
        build(tmp_path)


def test_what_the_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin" / "cc"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'fatal error: stdint.h: No such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/bin:/usr/bin")
    with pytest.raises(BuildError, match=r"exit code 1.*\nfatal error: stdint\.h"):
        build(tmp_path / "out")
    assert not (tmp_path / "out" / LIBRARY).exists()
