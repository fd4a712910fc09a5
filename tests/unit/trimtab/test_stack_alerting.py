"""Alertmanager of an embedded stack: complete, accepted, and with links that lead to the stack itself."""

import subprocess
from pathlib import Path

import pytest

from trimtab.stack import servers
from trimtab.stack.blueprint import Blueprint
from trimtab.stack.programs import Programs
from trimtab.stack.secrets import Tokens
from trimtab.stack.settings import Layout, StackSettings
from trimtab.supervisor.preflight import prepare

PROGRAMS = Programs("/bin/redis-server", "/bin/prometheus", "/bin/alertmanager", "/bin/envoy", "/bin/python")


def blueprint(home: Path) -> Blueprint:
    return Blueprint(Layout(StackSettings(home=home, voice_dir=home)), PROGRAMS, Tokens("a", "o", "v"), {})


@pytest.mark.alertmanager
def test_the_rendered_files_are_accepted_as_they_lie_on_the_disk(tmp_path):
    plan = servers.alertmanager(blueprint(tmp_path))
    prepare(plan)
    (config,) = [file.path for file in plan.files if file.path.name == "alertmanager.yml"]
    argv = ["amtool", "check-config", str(config)]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("SUCCESS") == 2, "the configuration, and its templates"
    assert (config.parent / "webhook.token").stat().st_mode & 0o777 == 0o600


def test_links_lead_to_the_stack_and_not_to_the_name_of_this_machine(tmp_path):
    stack = blueprint(tmp_path)
    for plan in (servers.alertmanager(stack), servers.prometheus(stack)):
        (listener,) = plan.listeners
        assert f"--web.external-url={listener.url}" in plan.argv
