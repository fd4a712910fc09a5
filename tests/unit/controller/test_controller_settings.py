import dataclasses
from pathlib import Path

import pytest

from chassis.auth import Role
from chassis.settings import SettingsError
from controller.core.policy import Policy
from controller.settings import ControllerSettings, read_policy


def test_every_knob_of_the_policy_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_CONTROLLER_TICK_S", "1.5")
    monkeypatch.setenv("TRIMTAB_CONTROLLER_PROBE_SHARES", "[0.25, 1.0]")
    monkeypatch.setenv("TRIMTAB_CONTROLLER_REPLICAS_MIN_BY_REGION", '[["eu-west", 2]]')
    policy = read_policy(ControllerSettings.read())
    expected = Policy(tick_s=1.5, probe_shares=(0.25, 1.0), replicas_min_by_region=(("eu-west", 2),))
    assert policy == expected


def test_without_any_variable_the_policy_is_the_default_one() -> None:
    assert read_policy(ControllerSettings.read()) == Policy()


def test_machines_are_touched_only_when_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = read_policy(ControllerSettings.read())
    assert (policy.gpu_reset_allowed, policy.host_reboot_allowed) == (False, False)
    monkeypatch.setenv("TRIMTAB_CONTROLLER_GPU_RESET_ALLOWED", "true")
    policy = read_policy(ControllerSettings.read())
    assert (policy.gpu_reset_allowed, policy.host_reboot_allowed) == (True, False)


def test_the_policys_gateways_are_the_configured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "TRIMTAB_CONTROLLER_GATEWAYS",
        '[{"region": "eu-west", "admin_url": "http://127.0.1.10:9901", "eds_dir": "/eds"}]',
    )
    settings = ControllerSettings.read()
    assert read_policy(settings).gateways == ("eu-west",)
    assert settings.gateways[0].eds_dir == Path("/eds")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "0"),
        ("ADDRESS", "localhost"),
        ("TICK_S", "soon"),
        ("TICK_S", "-1"),
        ("LATE_S", "100"),
        ("GATEWAYS", '[{"region": "EU west"}]'),
    ],
)
def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"TRIMTAB_CONTROLLER_{variable}", value)
    with pytest.raises(SettingsError, match=f"TRIMTAB_CONTROLLER_{variable}"):
        read_policy(ControllerSettings.read())


def test_an_empty_token_is_none_and_a_set_one_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_CONTROLLER_OPERATOR_TOKEN", "hush")
    monkeypatch.setenv("TRIMTAB_CONTROLLER_VIEWER_TOKEN", "")
    settings = ControllerSettings.read()
    assert settings.tokens == {Role.OPERATOR: "hush"}
    assert "hush" not in repr(settings)


def test_an_empty_rules_file_means_that_prometheus_rules_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_CONTROLLER_RULES_FILE", "")
    assert ControllerSettings.read().rules_file is None


def test_no_knob_hides_a_setting_of_the_process() -> None:
    own = set(ControllerSettings.model_fields) - {"gateways"}
    assert not own & {field.name for field in dataclasses.fields(Policy)}


@pytest.mark.parametrize(
    ("address", "chosen", "required"),
    [("127.0.0.1", None, False), ("10.0.0.1", None, True), ("10.0.0.1", "false", False), ("127.0.0.1", "true", True)],
)
def test_hosts_need_credentials_of_their_own_on_every_listener_but_loopback_unless_told(
    monkeypatch: pytest.MonkeyPatch, address: str, chosen: str | None, required: bool
) -> None:
    monkeypatch.setenv("TRIMTAB_CONTROLLER_ADDRESS", address)
    if chosen is not None:
        monkeypatch.setenv("TRIMTAB_CONTROLLER_REQUIRE_HOST_CREDENTIALS", chosen)
    assert ControllerSettings.read().host_credentials_required is required
