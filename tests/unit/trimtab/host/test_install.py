"""Installing into a tree: what is written, for whom, and what a second time changes."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.settings import AgentSettings, RuntimeKind
from trimtab.cli.app import app
from trimtab.cli.install_commands import host_name
from trimtab.host import units
from trimtab.host.artefacts import AGENT_ENV
from trimtab.host.env_file import read_env_file
from trimtab.host.errors import InstallError
from trimtab.host.install import Change, Request, plan_installation
from trimtab.host.tree import Tree

GIVEN = ("--region", "eu-west", "--host-id", "gpu-1", "--controller-url", "https://controller:8700")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to a group")
NEEDS_SYSUSERS = pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd's programs")


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(app, ["agent", *arguments], input=text)


def install(root: Path, *arguments: str, text: str = "") -> str:
    result = run("install", "--root", str(root), *arguments, text=text)
    assert result.exit_code == 0, result.exception
    return result.stdout


def changes(root: Path, **values: str) -> dict[str, Change]:
    given = {AgentSettings.variable(name): value for name, value in values.items()}
    plan = plan_installation(Tree(root), Request(given), {"TRIMTAB_AGENT_STATE_DIR": "/var/lib/trimtab"})
    return {str(step.target): step.change for step in plan.steps}


def everything_below(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_a_first_installation_can_be_used_as_it_is(tmp_path):
    said = install(tmp_path, *GIVEN, "--token-file", "-", text="s3cret\n")
    values = read_env_file((tmp_path / "etc/trimtab/agent.env").read_text(), AgentSettings).values
    settings = AgentSettings.read_from(values)
    assert (settings.host_id, settings.region, settings.token.get_secret_value()) == ("gpu-1", "eu-west", "s3cret")
    assert str(settings.state_dir) == units.STATE_DIR
    assert "s3cret" not in said
    assert "trimtab agent check" in said
    assert f"systemctl enable --now {units.AGENT_UNIT}" in said


@NEEDS_ROOT
@NEEDS_SYSUSERS
def test_only_root_and_the_agent_may_read_the_token(tmp_path):
    install(tmp_path, *GIVEN)
    group = next(line for line in (tmp_path / "etc/group").read_text().splitlines() if line.startswith("trimtab:"))
    state = (tmp_path / "etc/trimtab/agent.env").stat()
    assert stat.S_IMODE(state.st_mode) == 0o640
    assert (state.st_uid, state.st_gid) == (0, int(group.split(":")[2]))
    assert stat.S_IMODE((tmp_path / "var/lib/trimtab").stat().st_mode) == 0o750


def test_without_the_group_the_settings_are_roots_alone(tmp_path):
    tree = Tree(tmp_path)
    plan = plan_installation(tree, Request({}), {})
    settings = next(step.artefact for step in plan.steps if step.artefact.administrators)
    tree.write(settings)
    assert stat.S_IMODE((tmp_path / "etc/trimtab/agent.env").stat().st_mode) == 0o600


def test_a_dry_run_changes_nothing(tmp_path):
    said = install(tmp_path, *GIVEN, "--dry-run")
    assert "create" in said
    assert "nothing was changed" in said
    assert everything_below(tmp_path) == {}


def test_installing_again_changes_nothing(tmp_path):
    install(tmp_path, *GIVEN)
    before = everything_below(tmp_path)
    assert "update" not in install(tmp_path, *GIVEN)
    assert everything_below(tmp_path) == before
    assert set(changes(tmp_path).values()) == {Change.KEEP}


def test_an_older_file_of_ours_is_brought_up_to_date(tmp_path):
    install(tmp_path, *GIVEN)
    unit = tmp_path / "usr/lib/systemd/system" / units.AGENT_UNIT
    unit.write_text("[Service]\nExecStart=/old\n")
    assert "-ExecStart=/old" in install(tmp_path)
    assert unit.read_text() == units.agent_unit()


def test_what_an_administrator_made_of_the_log_rotation_stays(tmp_path):
    install(tmp_path, *GIVEN)
    rotation = tmp_path / "etc/logrotate.d/trimtab"
    rotation.write_text("# mine\n")
    install(tmp_path)
    assert rotation.read_text() == "# mine\n"


def test_an_administrators_settings_stay_and_news_is_offered_beside_them(tmp_path):
    install(tmp_path, *GIVEN)
    env = tmp_path / "etc/trimtab/agent.env"
    mine = "# mine\n" + env.read_text().replace("#TRIMTAB_AGENT_PORT=9300\n", "")
    env.write_text(mine)
    said = install(tmp_path)
    assert "TRIMTAB_AGENT_PORT is new" in said
    assert env.read_text() == mine
    offer = env.with_name("agent.env.new")
    assert "#TRIMTAB_AGENT_PORT=9300" in offer.read_text()
    assert "TRIMTAB_AGENT_HOST_ID=gpu-1" in offer.read_text()
    assert changes(tmp_path)[str(AGENT_ENV)] is Change.KEEP
    offer.replace(env)
    install(tmp_path)
    assert set(changes(tmp_path).values()) == {Change.KEEP}


def test_an_offer_that_is_no_longer_news_goes_away(tmp_path):
    install(tmp_path, *GIVEN)
    install(tmp_path, "--set", "slots=4")
    env = tmp_path / "etc/trimtab/agent.env"
    assert env.with_name("agent.env.new").exists()
    env.write_text(env.read_text().replace("#TRIMTAB_AGENT_SLOTS=2", "TRIMTAB_AGENT_SLOTS=4"))
    install(tmp_path)
    assert not env.with_name("agent.env.new").exists()


def test_a_value_asked_for_later_is_offered_and_the_unit_waits_for_it(tmp_path):
    install(tmp_path, *GIVEN)
    drop_in = tmp_path / "etc/systemd/system/trimtab-agent.service.d/10-runtime.conf"
    before = drop_in.read_text()
    assert "TRIMTAB_AGENT_RUNTIME is set otherwise" in install(tmp_path, "--runtime", "docker")
    assert drop_in.read_text() == before


def test_a_secret_is_never_shown_in_a_difference(tmp_path):
    install(tmp_path, *GIVEN, "--token-file", "-", text="hush-1")
    said = install(tmp_path, "--token-file", "-", text="hush-2")
    assert "TRIMTAB_AGENT_TOKEN=…" in said
    assert "hush" not in said


@pytest.mark.parametrize(
    "line",
    [
        "#TRIMTAB_AGENT_TOKEN=hush",
        "# TRIMTAB_AGENT_TOKEN=hush",
        "TRIMTAB_AGENT_TOKEN =hush",
        "U=redis://me:hush@cache/0",
    ],
)
def test_nor_is_one_that_somebody_left_in_the_file(tmp_path, line):
    install(tmp_path, *GIVEN)
    with (tmp_path / "etc/trimtab/agent.env").open("a") as file:
        file.write(f"{line}\n")
    said = install(tmp_path, "--set", "slots=5", "--set", "redis_url=redis://:hush@cache/0")
    assert "TRIMTAB_AGENT_REDIS_URL=redis://…@cache/0" in said
    assert "hush" not in said


@pytest.mark.parametrize("link", ["etc", "etc/trimtab", "usr/lib"])
def test_root_follows_no_link_out_of_a_folder_that_is_installed_into(tmp_path, link):
    outside, root = tmp_path / "outside", tmp_path / "image"
    outside.mkdir()
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(outside)
    result = run("install", "--root", str(root), *GIVEN)
    assert "leads out of" in str(result.exception)
    assert everything_below(outside) == {}


def test_a_mode_that_became_too_open_is_mended_and_the_content_kept(tmp_path):
    install(tmp_path, *GIVEN)
    env = tmp_path / "etc/trimtab/agent.env"
    env.chmod(0o666)
    assert changes(tmp_path)[str(AGENT_ENV)] is Change.PERMIT
    install(tmp_path)
    assert stat.S_IMODE(env.stat().st_mode) & 0o007 == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--set", "slots=99"), "TRIMTAB_AGENT_SLOTS: Input should be less than or equal to 64"),
        (("--set", "slut=1"), "--set slut: not NAME=VALUE"),
        (("--set", "token=hush"), "--set token: everybody who lists processes could read it"),
        (("--set", "slots"), "--set slots: not NAME=VALUE"),
        (("--runtime", "podman"), "TRIMTAB_AGENT_RUNTIME: Input should be 'process'"),
        (("--token-file", "/nonexistent/token"), "cannot read the token"),
    ],
)
def test_a_request_that_cannot_be_met_changes_nothing(tmp_path, arguments, told):
    result = run("install", "--root", str(tmp_path), *arguments)
    assert isinstance(result.exception, InstallError)
    assert told in str(result.exception)
    assert "hush" not in str(result.exception)
    assert everything_below(tmp_path) == {}


@pytest.mark.parametrize("python", ["/home/me/venv/bin/python", "/home/python"])
def test_an_interpreter_that_the_service_could_not_see_is_refused(python):
    with pytest.raises(InstallError, match="could not see"):
        plan_installation(Tree(Path("/")), Request({}, python), {})


def test_a_damaged_file_is_named_and_not_replaced(tmp_path):
    install(tmp_path, *GIVEN)
    env = tmp_path / "etc/trimtab/agent.env"
    env.write_text("TRIMTAB_AGENT_REGION='eu\n")
    result = run("install", "--root", str(tmp_path))
    assert "line 1: the single quote is never closed" in str(result.exception)
    assert env.read_text() == "TRIMTAB_AGENT_REGION='eu\n"


def test_what_is_missing_becomes_the_first_next_step(tmp_path):
    said = install(tmp_path, "--host-id", "gpu-1")
    assert "TRIMTAB_AGENT_REGION: Field required" in said
    assert "TRIMTAB_AGENT_HOST_ID: " not in said


def test_uninstalling_shows_first_and_leaves_the_journal(tmp_path):
    install(tmp_path, *GIVEN)
    before = everything_below(tmp_path)
    assert "would remove" in run("uninstall", "--root", str(tmp_path)).stdout
    assert everything_below(tmp_path) == before
    run("uninstall", "--root", str(tmp_path), "--remove")
    assert (tmp_path / "etc/trimtab/agent.env").exists()
    assert not (tmp_path / "usr/lib/systemd/system" / units.AGENT_UNIT).exists()
    assert not (tmp_path / "etc/systemd/system/trimtab-agent.service.d").exists()
    said = run("uninstall", "--root", str(tmp_path), "--remove", "--purge").stdout
    assert "stays: /var/lib/trimtab" in said
    assert not (tmp_path / "etc/trimtab/agent.env").exists()


def test_only_groups_that_exist_are_named_because_systemd_refuses_others(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("video:x:44:\n")
    install(tmp_path, *GIVEN)
    drop_in = tmp_path / "etc/systemd/system/trimtab-agent.service.d/10-runtime.conf"
    assert "SupplementaryGroups=video\n" in drop_in.read_text()


def test_the_stop_deadline_follows_the_replicas_grace():
    choices = units.HostChoices(RuntimeKind.PROCESS, (), stop_grace_s=45.0)
    assert "TimeoutStopSec=55\n" in units.runtime_drop_in(choices)


@pytest.mark.parametrize(
    ("node", "name"),
    [("GPU-01.example.com", "gpu-01"), ("a_b c", "a-b-c"), ("___", "host"), ("x" * 80, "x" * 63)],
)
def test_a_host_name_becomes_an_id(node, name):
    assert host_name(node) == name
