"""The scrape configuration that the documentation shows is the one that our rules and the API expect."""

import re
from pathlib import Path

import yaml

from contracts.metric_names import JOB_AGENTS, JOB_REPLICAS
from tests.unit.controller.api.rig import Rig

TEXT = (Path(__file__).resolve().parents[4] / "docs" / "discovery.md").read_text()
SCRAPE, ALERT = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))


def test_every_discovery_url_is_a_route_and_every_job_one_we_know(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {})
    routes = rig.app.openapi()["paths"]
    rig.database.close()
    jobs = {job["job_name"]: job["http_sd_configs"][0]["url"] for job in SCRAPE["scrape_configs"]}
    assert jobs.keys() == {JOB_REPLICAS, JOB_AGENTS}
    assert all(url.partition(":8700")[2] in routes for url in jobs.values())
    assert jobs[JOB_AGENTS].endswith("/agents")


def test_the_alert_speaks_of_the_same_job() -> None:
    assert f'job="{JOB_AGENTS}"' in ALERT[0]["expr"]
