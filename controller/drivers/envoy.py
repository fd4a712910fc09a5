"""Traffic through Envoy: publish by renaming a file, believe only what the gateway's own counters say.

A version counts as applied when `version_text` names it, as rejected when `update_rejected` grew since it was published.
A gateway that does not answer is `Unknown`: it keeps its last state, and so do we.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import Region, ReplicaId
from controller.drivers.envoy_assignment import digest, discovery_response, empty_assignment, render_assignment
from controller.drivers.envoy_bootstrap import ASSIGNMENT_FILE, CLUSTER
from controller.ports import (
    Applied,
    Confirmation,
    GatewayObservation,
    GatewayPlan,
    Rejected,
    SourceDown,
    Unknown,
)

log = logger(__name__)

ADMIN_TIMEOUT_S = 1.0
"""The admin interface answers in milliseconds; a second means that it does not."""
CONFIRM_POLL_S = 0.02
"""A rename is applied within about 5 ms (median), so two or three looks suffice."""
_PREFIX = f"cluster.{CLUSTER}."
_ACK = quote(rf"^cluster\.{CLUSTER}\.(version_text|update_rejected)$")
_COUNTERS = quote(rf"^cluster\.{CLUSTER}\.(version_text|zone\..*\.upstream_rq_(completed|5xx))$")


@dataclass(frozen=True, slots=True)
class Gateway:
    """One Envoy: where its admin interface answers and which directory it watches."""

    region: Region
    admin_url: str
    eds_dir: Path


@dataclass(frozen=True, slots=True)
class _Acknowledgement:
    """What a gateway says about the assignments it was given."""

    version: str
    rejected: int


@dataclass(frozen=True, slots=True)
class _Publication:
    """One version as it went out: what each gateway had rejected before, and what could not be written."""

    version: str
    digest: str
    rejected_before: Mapping[Region, int]
    unwritten: str


class EnvoyTraffic:
    """`ports.TrafficDriver` over any number of Envoys on this machine's file system."""

    def __init__(self, *, gateways: Sequence[Gateway], client: httpx.AsyncClient, clock: Clock, boot: str) -> None:
        """`boot` makes versions of two controller starts differ."""
        self._gateways = {gateway.region: gateway for gateway in gateways}
        self._client = client
        self._clock = clock
        self._boot = boot
        self._seq = 0
        self._last = _Publication(version="", digest="", rejected_before={}, unwritten="")
        self._one_writer = asyncio.Lock()
        self._writing: asyncio.Future[str] | None = None
        """The write under way. It outlives a caller that gave up, because a thread cannot be stopped."""

    async def seed(self) -> None:
        """Give gateways that have never run a file to start from; one that is running is never touched."""
        for gateway in self._gateways.values():
            target = gateway.eds_dir / ASSIGNMENT_FILE
            if target.exists() or isinstance(await self._acknowledgement(gateway), _Acknowledgement):
                continue
            version = f"{self._boot}.0.seed"
            await asyncio.to_thread(_replace, target, discovery_response(empty_assignment(), version), version)

    async def apply(self, plans: tuple[GatewayPlan, ...]) -> str:
        """Publish every plan, or none: all are rendered, and refused with `ValueError`, before the first is written."""
        rendered = {self._known(plan.gateway).region: render_assignment(plan) for plan in plans}
        async with self._one_writer:
            if self._writing is not None:
                await asyncio.wait((self._writing,))  # else an older version could land after this one
            name = digest([rendered[region] for region in sorted(rendered)])
            if name != self._last.digest:
                self._seq += 1
            version = f"{self._boot}.{self._seq}.{name}"
            before = await self._acknowledgements(self._gateways[region] for region in rendered)
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._publish, rendered, version))
            unwritten = await asyncio.shield(self._writing)
            self._writing = None
            rejected = {region: said.rejected for region, said in before.items() if isinstance(said, _Acknowledgement)}
            self._last = _Publication(version=version, digest=name, rejected_before=rejected, unwritten=unwritten)
            return version

    async def confirm(self, version: str, timeout_s: float) -> Confirmation:
        """Ask every gateway until all run `version`, one refused it, or time is up."""
        publication = self._last
        if publication.version != version:
            return Unknown(reason=f"{version} is not what was published last ({publication.version or 'nothing'})")
        if publication.unwritten:
            return Unknown(reason=publication.unwritten)
        deadline_s = self._clock.monotonic_s() + timeout_s
        while True:
            said = await self._acknowledgements(self._gateways.values())
            verdict = _judge(publication, said)
            if not isinstance(verdict, Unknown) or self._clock.monotonic_s() >= deadline_s:
                return verdict
            await self._clock.sleep(CONFIRM_POLL_S)

    async def observe(self) -> tuple[GatewayObservation | SourceDown, ...]:
        """Counters and requests in flight of every gateway, read side by side."""
        return tuple(await asyncio.gather(*(self._observe(gateway) for gateway in self._gateways.values())))

    def _known(self, region: Region) -> Gateway:
        gateway = self._gateways.get(region)
        if gateway is None:
            msg = f"refusing the plan for gateway {region}: only {sorted(self._gateways)} are configured"
            raise ValueError(msg)
        return gateway

    def _publish(self, rendered: Mapping[Region, Mapping[str, Any]], version: str) -> str:
        """Returns why something could not be written, or an empty string."""
        for region, assignment in rendered.items():
            target = self._gateways[region].eds_dir / ASSIGNMENT_FILE
            try:
                _replace(target, discovery_response(dict(assignment), version), version)
            except OSError as error:
                log.warning("assignment_not_written", gateway=region, error=repr(error))
                return f"writing {target} failed: {error.strerror}"
        return ""

    async def _acknowledgements(self, gateways: Iterable[Gateway]) -> dict[Region, _Acknowledgement | SourceDown]:
        asked = list(gateways)
        answers = await asyncio.gather(*(self._acknowledgement(gateway) for gateway in asked))
        return {gateway.region: answer for gateway, answer in zip(asked, answers, strict=True)}

    async def _acknowledgement(self, gateway: Gateway) -> _Acknowledgement | SourceDown:
        stats = await self._get_json(gateway, f"/stats?format=json&filter={_ACK}")
        if isinstance(stats, SourceDown):
            return stats
        values = _by_name(stats)
        return _Acknowledgement(
            version=str(values.get("version_text", "")), rejected=int(values.get("update_rejected", 0))
        )

    async def _observe(self, gateway: Gateway) -> GatewayObservation | SourceDown:
        stats = await self._get_json(gateway, f"/stats?format=json&filter={_COUNTERS}")
        clusters = await self._get_json(gateway, "/clusters?format=json")
        if isinstance(stats, SourceDown) or isinstance(clusters, SourceDown):
            return stats if isinstance(stats, SourceDown) else SourceDown(reason=f"{gateway.region}: no cluster list")
        values = _by_name(stats)
        return GatewayObservation(
            gateway=gateway.region,
            version=str(values.get("version_text", "")),
            completed=_per_region(values, gateway.region, "upstream_rq_completed"),
            failed=_per_region(values, gateway.region, "upstream_rq_5xx"),
            in_flight=_in_flight(clusters),
        )

    async def _get_json(self, gateway: Gateway, path: str) -> Mapping[str, Any] | SourceDown:
        try:
            answer = await self._client.get(f"{gateway.admin_url}{path}", timeout=ADMIN_TIMEOUT_S)
            answer.raise_for_status()
            body: Mapping[str, Any] = answer.json()
        except (httpx.HTTPError, json.JSONDecodeError) as error:
            return SourceDown(
                reason=f"gateway {gateway.region} did not answer {path.split('?', maxsplit=1)[0]}: {error!r}"
            )
        return body


def _replace(target: Path, content: str, version: str) -> None:
    """Rename into the watched directory. No fsync: the directory is a tmpfs, and on a disk it would cost a second.

    The name beside it is the version's own, so that two writers can never rename each other's half of a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{version}.tmp")
    try:
        beside.write_text(content)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)  # no later version would overwrite it


def _judge(publication: _Publication, said: Mapping[Region, _Acknowledgement | SourceDown]) -> Confirmation:
    waiting = []
    for region, answer in said.items():
        if isinstance(answer, SourceDown):
            waiting.append(answer.reason)
        elif answer.version != publication.version:
            before = publication.rejected_before.get(region, answer.rejected)  # unknown before: growth cannot be told
            if answer.rejected > before:
                return Rejected(reason=f"gateway {region} rejected it and still runs {answer.version or 'nothing'}")
            waiting.append(f"gateway {region} still runs {answer.version or 'nothing'}")
    return Unknown(reason="; ".join(waiting)) if waiting else Applied(version=publication.version)


def _by_name(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(entry["name"]).removeprefix(_PREFIX): entry["value"] for entry in stats.get("stats", ()) if "name" in entry
    }


def _per_region(values: Mapping[str, Any], gateway: Region, counter: str) -> tuple[tuple[Region, float], ...]:
    head, tail = f"zone.{gateway}.", f".{counter}"
    return tuple(
        (Region(name.removeprefix(head).removesuffix(tail)), float(value))
        for name, value in sorted(values.items())
        if name.startswith(head) and name.endswith(tail)
    )


def _in_flight(clusters: Mapping[str, Any]) -> tuple[tuple[ReplicaId, int], ...]:
    hosts = [
        host
        for cluster in clusters.get("cluster_statuses", ())
        if cluster.get("name") == CLUSTER
        for host in cluster.get("host_statuses", ())
    ]
    return tuple(sorted((ReplicaId(host.get("hostname", "")), _active(host)) for host in hosts))


def _active(host: Mapping[str, Any]) -> int:
    return next((int(stat.get("value", 0)) for stat in host.get("stats", ()) if stat.get("name") == "rq_active"), 0)
