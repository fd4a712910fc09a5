"""Settings from the environment and from given variables: one meaning, readable faults."""

from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

from chassis.settings import ProcessSettings, SettingsError, service_manager_environment


class Sample(ProcessSettings):
    """Stands for any process."""

    model_config = SettingsConfigDict(env_prefix="TRIMTAB_SAMPLE_", frozen=True, extra="forbid")

    port: int = 1
    """Where it listens."""
    names: tuple[str, ...] = ()
    home: Path


def test_given_variables_are_read_like_the_environment_and_instead_of_it(monkeypatch):
    given = {"TRIMTAB_SAMPLE_PORT": "7", "TRIMTAB_SAMPLE_NAMES": '["a","b"]', "TRIMTAB_SAMPLE_HOME": "/x"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert Sample.read() == Sample.read_from(given)
    assert Sample.read_from({"TRIMTAB_SAMPLE_HOME": "/y"}).port == 1


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TRIMTAB_SAMPLE_HOME": "/x", "TRIMTAB_SAMPLE_PORT": "far"}, "TRIMTAB_SAMPLE_PORT: "),
        ({"TRIMTAB_SAMPLE_HOME": "/x", "TRIMTAB_SAMPLE_NAMES": "a,b"}, "TRIMTAB_SAMPLE_NAMES: Input should be JSON"),
        ({}, "TRIMTAB_SAMPLE_HOME: Field required"),
    ],
)
def test_every_fault_names_its_variable(variables, named, monkeypatch):
    with pytest.raises(SettingsError, match=named):
        Sample.read_from(variables)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=named):
        Sample.read()


def test_the_sentence_below_a_field_describes_it():
    assert Sample.model_fields["port"].description == "Where it listens."


def test_the_service_manager_is_only_heard_through_its_two_variables(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert service_manager_environment() == {"NOTIFY_SOCKET": "/run/notify"}
