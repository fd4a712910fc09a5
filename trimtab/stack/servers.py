"""Process plans of the programs we did not write: Redis, Alertmanager, Prometheus and one Envoy per region."""

from collections.abc import Iterable, Mapping

from trimtab.stack.blueprint import Blueprint
from trimtab.stack.configs import alertmanager_files, envoy_bootstrap, prometheus_config
from trimtab.stack.model import ProcessPlan, ReadyHttp, ReadyTcp, RenderedFile
from trimtab.stack.settings import RegionLayout

REDIS_MEMORY = "64mb"
"""A cache of a few hundred sentences; beyond it the oldest go."""
PROMETHEUS_RETENTION = "6h"
"""Long enough for an afternoon; this is a try-out, not an archive."""
OWNER_ONLY = 0o600


def redis(blueprint: Blueprint) -> ProcessPlan:
    """The audio cache; replicas speak without it, so losing it stops nothing."""
    listener = blueprint.layout.redis
    directory = blueprint.layout.home / "redis"
    options = {
        "bind": listener.address,
        "port": str(listener.port),
        "dir": str(directory),
        "save": "",  # a cache needs no disk
        "appendonly": "no",
        "maxmemory": REDIS_MEMORY,
        "maxmemory-policy": "allkeys-lru",
    }
    return ProcessPlan(
        name="redis",
        argv=(blueprint.programs.redis, *_words(options)),
        log=blueprint.layout.log("redis"),
        listeners=(listener,),
        ready=(ReadyTcp(listener),),
        env=blueprint.env(),
        directories=(directory,),
        critical=False,
    )


def alertmanager(blueprint: Blueprint) -> ProcessPlan:
    """Pages people; the loop heals without it."""
    listener = blueprint.layout.alertmanager
    directory = blueprint.layout.home / "alertmanager"
    token = directory / "webhook.token"
    options = {
        "config.file": str(directory / "alertmanager.yml"),
        "storage.path": str(directory / "data"),
        "web.listen-address": f"{listener.address}:{listener.port}",
        "web.external-url": listener.url,  # what notifications link to; the default is this machine's name
        "cluster.listen-address": "",  # alone: no gossip port
    }
    return ProcessPlan(
        name="alertmanager",
        argv=(blueprint.programs.alertmanager, *_assignments(options)),
        log=blueprint.layout.log("alertmanager"),
        listeners=(listener,),
        ready=(ReadyHttp(f"{listener.url}/-/ready"),),
        env=blueprint.env(),
        files=(
            *(
                RenderedFile(directory / name, text)
                for name, text in alertmanager_files(blueprint.layout, token).items()
            ),
            RenderedFile(token, blueprint.tokens.operator, mode=OWNER_ONLY),
        ),
        critical=False,
    )


def prometheus(blueprint: Blueprint) -> ProcessPlan:
    """The loop's eyes; after the controller, whom it asks what to scrape."""
    listener = blueprint.layout.prometheus
    directory = blueprint.layout.home / "prometheus"
    config = directory / "prometheus.yml"
    options = {
        "config.file": str(config),
        "storage.tsdb.path": str(directory / "data"),
        "storage.tsdb.retention.time": PROMETHEUS_RETENTION,
        "web.listen-address": f"{listener.address}:{listener.port}",
        "web.external-url": listener.url,  # what alerts link to
    }
    return ProcessPlan(
        name="prometheus",
        argv=(blueprint.programs.prometheus, *_assignments(options), "--web.enable-lifecycle"),
        log=blueprint.layout.log("prometheus"),
        listeners=(listener,),
        ready=(ReadyHttp(f"{listener.url}/-/ready"),),
        env=blueprint.env(),
        files=(RenderedFile(config, prometheus_config(blueprint.layout)),),
        directories=(blueprint.layout.rules_file.parent,),
        depends_on=("controller", "alertmanager"),
    )


def gateway(blueprint: Blueprint, region: RegionLayout) -> ProcessPlan:
    """Envoy of one region; after every agent, because a gateway without endpoints has nothing to be ready for."""
    config = blueprint.layout.home / "envoy" / f"{region.region}.json"
    options = {
        "config-path": str(config),
        "concurrency": "1",  # one core forwards far more speech than one machine can make
        "file-flush-interval-msec": "500",
        "log-level": "warning",
    }
    return ProcessPlan(
        name=f"gateway-{region.region}",
        argv=(
            blueprint.programs.envoy,
            *_words(options),
            "--disable-hot-restart",  # gateways share this machine, not their shared memory
            "--reject-unknown-dynamic-fields",
        ),
        log=blueprint.layout.log(f"gateway-{region.region}"),
        listeners=(region.gateway, region.gateway_admin),
        ready=(ReadyHttp(f"{region.gateway_admin.url}/ready"), ReadyHttp(f"{region.gateway.url}/v1/models")),
        env=blueprint.env(),
        files=(RenderedFile(config, envoy_bootstrap(blueprint.layout, region)),),
        depends_on=tuple(f"agent-{other.region}" for other in blueprint.layout.regions),
    )


def _words(options: Mapping[str, str]) -> Iterable[str]:
    for name, value in options.items():
        yield from (f"--{name}", value)


def _assignments(options: Mapping[str, str]) -> Iterable[str]:
    return (f"--{name}={value}" for name, value in options.items())
