"""agent.env: rendered from the model, read back equal, and offered rather than rewritten."""

from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

from agent.settings import AgentSettings
from chassis.settings import ProcessSettings
from trimtab.host.env_file import EnvFile, as_variable, default_text, offers, read_env_file, render_env_file

REQUIRED = {
    "TRIMTAB_AGENT_HOST_ID": "gpu-1",
    "TRIMTAB_AGENT_REGION": "eu-west",
    "TRIMTAB_AGENT_CONTROLLER_URL": "https://controller:8700",
    "TRIMTAB_AGENT_STATE_DIR": "/var/lib/trimtab",
}


class Newer(ProcessSettings):
    """The next version: a setting more, one less, another default."""

    model_config = SettingsConfigDict(env_prefix="TRIMTAB_AGENT_", frozen=True, extra="forbid")

    host_id: str
    """Name."""
    port: int = 9400
    """Port."""
    colour: str = "green"
    """New."""


def test_every_setting_has_a_sentence_and_a_line():
    text = render_env_file(AgentSettings, REQUIRED)
    for name, field in AgentSettings.model_fields.items():
        assert field.description, name
        assert f"{AgentSettings.variable(name)}=" in text


def test_the_defaults_it_shows_are_the_defaults_that_hold():
    shown = read_env_file(render_env_file(AgentSettings, {}), AgentSettings).shown
    usable = {name: value for name, value in shown.items() if not value.startswith("(")}
    uncommented = "".join(f"{name}={value}\n" for name, value in usable.items())
    values = read_env_file(uncommented, AgentSettings).values
    assert AgentSettings.read_from({**values, **REQUIRED}) == AgentSettings.read_from(REQUIRED)
    assert len(values) > 20


def test_every_setting_written_is_read_back_equal():
    chosen = AgentSettings.read_from(REQUIRED).model_copy(
        update={
            "voice_dir": Path("/srv/a voice"),
            "serving_command": ("python3", "-m", "serving", 'it\'s "$HOME" \\ ok'),
            "docker_binds": ("/a:/b:ro",),
            "gateways": {"us-east": "gw.us:443"},
            "redis_url": "redis://:p#w;d@redis:6379/0",
            "total_budget_s": 2.5,
        }
    )
    written = {
        AgentSettings.variable(name): as_variable(value)
        for name in AgentSettings.model_fields
        if (value := getattr(chosen, name)) is not None
    }
    assert (
        AgentSettings.read_from(read_env_file(render_env_file(AgentSettings, written), AgentSettings).values) == chosen
    )


def test_variables_of_other_programs_are_carried_over():
    text = render_env_file(AgentSettings, {**REQUIRED, "CUDA_VISIBLE_DEVICES": "0,1"})
    assert read_env_file(text, AgentSettings).values["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_a_required_setting_without_a_value_says_so():
    assert "#TRIMTAB_AGENT_REGION=(required)" in render_env_file(AgentSettings, {})
    assert default_text(AgentSettings.model_fields["voice_dir"]) == "(not set)"


OLD = "# mine\nTRIMTAB_AGENT_HOST_ID=a\n#TRIMTAB_AGENT_PORT=9300\n#TRIMTAB_AGENT_SHAPE=round\n"


def offered(current: str, values: dict[str, str]) -> tuple[str, ...]:
    return offers(read_env_file(current, Newer), read_env_file(render_env_file(Newer, values), Newer))


def test_news_is_named_setting_by_setting():
    assert offered(OLD, {"TRIMTAB_AGENT_HOST_ID": "a"}) == (
        "TRIMTAB_AGENT_COLOUR is new",
        "TRIMTAB_AGENT_SHAPE is no setting any more",
        "TRIMTAB_AGENT_PORT has another default: 9400 instead of 9300",
    )


def test_a_value_that_was_asked_for_is_offered_and_an_own_value_is_not_news():
    current = "TRIMTAB_AGENT_HOST_ID=a\n#TRIMTAB_AGENT_COLOUR=green\nTRIMTAB_AGENT_PORT=1\n"
    assert offered(current, {"TRIMTAB_AGENT_HOST_ID": "b", "TRIMTAB_AGENT_PORT": "1"}) == (
        "TRIMTAB_AGENT_HOST_ID is set otherwise in the file",
    )


@pytest.mark.parametrize(
    "own", ["# a remark\n", "\n\n", "OTHER=1\n"], ids=["a comment", "blank lines", "another program's variable"]
)
def test_what_an_administrator_adds_is_nobodys_business(own):
    text = render_env_file(Newer, {"TRIMTAB_AGENT_HOST_ID": "a"})
    values = read_env_file(text + own, Newer).values
    assert offered(own + text, dict(values)) == ()


def test_an_empty_file_is_offered_everything():
    assert len(offers(EnvFile({}, {}), read_env_file(render_env_file(Newer, {}), Newer))) == 3
