"""Set-up with a pretended apt: it installs what is missing, starts no services, and says what to do when it may not."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from trimtab.setup import SetupError, install_programs, prepare_voice
from trimtab.stack.programs import MissingProgramsError

APT = """#!{sh}
echo "RUNLEVEL=$RUNLEVEL $@" >> {log}
exit {code}
"""
SUDO = """#!{sh}
shift
[ "$1" = true ] && exit {code}
exec "$@"
"""


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but env, and a sudo that lets everything pass."""
    (tmp_path / "env").symlink_to(str(shutil.which("env")))
    program(tmp_path, "sudo", SUDO.format(sh=shutil.which("sh"), code=0))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("trimtab.stack.programs.SYSTEM_FOLDERS", (str(tmp_path / "sbin"),))
    return tmp_path


def apt(machine: Path, *, code: int = 0) -> Path:
    log = machine / "apt.log"
    program(machine, "apt-get", APT.format(sh="/bin/sh", log=log, code=code))
    return log


def test_what_is_missing_is_installed_without_starting_services(machine: Path) -> None:
    log, said = apt(machine), []
    install_programs(dev=False, say=said.append)
    update, install = log.read_text().splitlines()
    assert update.endswith("update")
    assert install.startswith("RUNLEVEL=1")
    assert install.endswith("redis-server prometheus prometheus-alertmanager")
    assert said[-1] == "installed redis-server, prometheus, prometheus-alertmanager"


def test_tests_need_docker_judges_of_our_files_and_a_compiler_as_well(machine: Path) -> None:
    log = apt(machine)
    install_programs(dev=True, say=lambda _: None)
    assert log.read_text().splitlines()[-1].endswith("docker.io docker-compose systemd gcc libc6-dev")


def test_any_compiler_will_do(machine: Path) -> None:
    log = apt(machine)
    program(machine, "cc", "")
    install_programs(dev=True, say=lambda _: None)
    assert log.read_text().splitlines()[-1].endswith("docker.io docker-compose systemd")


def test_servers_outside_an_ordinary_users_path_are_found(machine: Path) -> None:
    log = apt(machine)
    (machine / "sbin").mkdir()
    program(machine / "sbin", "dockerd", "")
    install_programs(dev=True, say=lambda _: None)
    assert "docker.io" not in log.read_text()


def test_what_is_there_is_left_alone(machine: Path) -> None:
    log, said = apt(machine), []
    for name in ("redis-server", "prometheus", "alertmanager"):
        program(machine, name, "")
    install_programs(dev=False, say=said.append)
    assert said == ["Debian packages: all there"]
    assert not log.exists()


def test_without_apt_the_command_to_run_is_told(machine: Path) -> None:
    with pytest.raises(MissingProgramsError, match="sudo apt-get install -y redis-server prometheus"):
        install_programs(dev=False, say=lambda _: None)


def test_without_permission_the_command_to_run_is_told(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    apt(machine)
    program(machine, "sudo", SUDO.format(sh="/bin/sh", code=1))
    with pytest.raises(MissingProgramsError, match="sudo apt-get install"):
        install_programs(dev=False, say=lambda _: None)


def test_a_failing_apt_is_named(machine: Path) -> None:
    apt(machine, code=100)
    with pytest.raises(SetupError, match=r"exit code 100 from: .*apt-get"):
        install_programs(dev=False, say=lambda _: None)


def test_a_voice_that_cannot_be_prepared_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(SetupError, match="serving prepare"):
        prepare_voice(in_the_way / "voice", environment={}, say=lambda _: None)
