"""The product's own gateway in front of one fleet: a real Envoy with the bootstrap that the controller renders."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import envoy

from bench.healing.waiting import answers, end, until
from contracts.vocabulary import Region
from controller.core.gateways import Endpoint, GatewayPlan
from controller.drivers.envoy_assignment import discovery_response, render_assignment
from controller.drivers.envoy_bootstrap import ASSIGNMENT_FILE, GatewaySettings, render_bootstrap

ENVOY = Path(next(iter(envoy.__path__))) / "_bin" / "envoy"
REGION = Region("bench")
READY_S_MAX = 20.0


@contextmanager
def gateway(directory: Path, ports: tuple[int, ...], listen: tuple[int, int]) -> Iterator[str]:
    """Run it in front of replicas on these ports; yields its address. `listen`: its own port and its admin port."""
    eds = directory / "eds"
    eds.mkdir(parents=True)
    endpoints = tuple(Endpoint(f"r-{port}", REGION, "127.0.0.1", port, draining=False) for port in ports)
    plan = GatewayPlan(gateway=REGION, shares=((REGION, 1.0),), endpoints=endpoints, shed_ratio=0.0)
    (eds / ASSIGNMENT_FILE).write_text(discovery_response(render_assignment(plan), "1"))
    port, admin_port = listen
    bootstrap = render_bootstrap(
        GatewaySettings(
            region=REGION,
            address="127.0.0.1",
            port=port,
            admin_address="127.0.0.1",
            admin_port=admin_port,
            eds_dir=str(eds),
            access_log="/dev/null",
        )
    )
    config = directory / "envoy.json"
    config.write_text(json.dumps(bootstrap))
    with (directory / "envoy.log").open("wb") as log:
        argv = [str(ENVOY), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
        child = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: answers(f"{url}/v1/models"), READY_S_MAX, "the gateway serves")
            yield url
        finally:
            end(child)
