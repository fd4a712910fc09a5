"""Settings of the line to the controller that contradict one another, or give everything away, are refused with the fix."""

import pytest

from agent.parts.line import tls_files
from agent.settings import AgentSettings
from chassis.settings import SettingsError


def settings(tmp_path, **changes) -> AgentSettings:
    fields = {"host_id": "h", "region": "eu", "controller_url": "https://controller:8700", "state_dir": tmp_path}
    return AgentSettings(**{**fields, **changes})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8700", "http://127.0.3.4:8700", "http://localhost:1", "http://[::1]:1"]
)
def test_plain_http_is_fine_on_this_machine(tmp_path, url):
    assert settings(tmp_path, controller_url=url)


@pytest.mark.parametrize("url", ["http://controller:8700", "http://10.0.0.1:8700", "http://localhost.example"])
def test_plain_http_beyond_it_must_be_asked_for(tmp_path, url):
    with pytest.raises(ValueError, match="allow_plaintext"):
        settings(tmp_path, controller_url=url)
    assert settings(tmp_path, controller_url=url, allow_plaintext=True)


def test_an_address_holds_no_password_and_none_is_repeated(tmp_path):
    with pytest.raises(SettingsError, match="no user or password") as refused:
        AgentSettings.read_from(
            {
                "TRIMTAB_AGENT_HOST_ID": "h",
                "TRIMTAB_AGENT_REGION": "eu",
                "TRIMTAB_AGENT_STATE_DIR": str(tmp_path),
                "TRIMTAB_AGENT_CONTROLLER_URL": "http://me:hush@10.0.0.1:8700",
            }
        )
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": "a", "token_file": "/b"}, "keep one"),
        ({"client_cert_file": "/a"}, "set both or none"),
        ({"client_key_file": "/a"}, "set both or none"),
    ],
)
def test_halves_and_doubles_are_refused(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        settings(tmp_path, **changes)


def test_certificates_reach_the_line(tmp_path):
    files = tls_files(settings(tmp_path, ca_file="/ca", client_cert_file="/cert", client_key_file="/key"))
    assert [str(path) for path in (files.authorities, files.own.certificate, files.own.key)] == ["/ca", "/cert", "/key"]
