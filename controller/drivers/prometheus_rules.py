"""Compiled rules into Prometheus: write the file, reload, see the groups there, or put the former file back.

Prometheus refuses a reload as a whole and keeps what it ran before, but it would not start again with a broken file. So a
refused file never stays.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from chassis.clock import Clock
from chassis.logs import logger
from controller.stores import RulesPublished, RulesRefused, RulesUnknown

log = logger(__name__)

TIMEOUT_S = 5.0
"""A reload parses every rule and opens no data: seconds at worst."""
LOOKS_MAX = 20
LOOK_S = 0.1
"""Two seconds for the groups to show up after a reload that was accepted."""


class PrometheusRules:
    """`stores.RulePublisher` for one rule file of one Prometheus on the same file system."""

    def __init__(self, *, url: str, path: Path, client: httpx.AsyncClient, clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._path = path
        self._client = client
        self._clock = clock
        self._one_writer = asyncio.Lock()

    async def publish(self, rules: str) -> RulesPublished | RulesRefused | RulesUnknown:
        """Make `rules` the content of the file and what Prometheus evaluates; repeating it is safe."""
        wanted = _sizes(yaml.safe_load(rules))
        async with self._one_writer:
            try:
                former = await asyncio.to_thread(_read, self._path)
                if former == rules and await self._loaded() == wanted:
                    return RulesPublished(groups=len(wanted))
                await asyncio.to_thread(_replace, self._path, rules)
                refusal = await self._reload()
                if refusal:
                    return await self._roll_back(former, refusal)
                return await self._see(wanted)
            except OSError as error:
                return RulesUnknown(reason=f"writing {self._path} failed: {error.strerror}")
            except httpx.HTTPError as error:
                return RulesUnknown(reason=f"Prometheus did not answer: {error!r}")

    async def _reload(self) -> str:
        """Empty when accepted, otherwise Prometheus' reason."""
        answer = await self._client.post(f"{self._url}/-/reload", timeout=TIMEOUT_S)
        return "" if answer.is_success else f"{answer.status_code}: {answer.text.strip()[:500]}"

    async def _roll_back(self, former: str | None, refusal: str) -> RulesRefused:
        log.warning("rules_refused", path=str(self._path), reason=refusal)
        await asyncio.to_thread(_restore, self._path, former)
        try:
            again = await self._reload()
        except httpx.HTTPError as error:
            again = repr(error)
        if again:
            log.warning("rules_not_reloaded_after_roll_back", reason=again)
        return RulesRefused(reason=refusal)

    async def _see(self, wanted: Mapping[str, int]) -> RulesPublished | RulesUnknown:
        for _look in range(LOOKS_MAX):
            if await self._loaded() == wanted:
                return RulesPublished(groups=len(wanted))
            await self._clock.sleep(LOOK_S)
        return RulesUnknown(reason=f"Prometheus reloaded but does not show {self._path.name}: is it in its rule_files?")

    async def _loaded(self) -> dict[str, int]:
        """Rules per group that Prometheus took from our file; its path may differ there, its name may not."""
        answer = await self._client.get(f"{self._url}/api/v1/rules", timeout=TIMEOUT_S)
        answer.raise_for_status()
        groups = answer.json()["data"]["groups"]
        return _sizes({"groups": [group for group in groups if Path(group["file"]).name == self._path.name]})


def _sizes(document: Mapping[str, Any]) -> dict[str, int]:
    return {group["name"]: len(group["rules"]) for group in document.get("groups") or ()}


def _read(path: Path) -> str | None:
    """None when there is no file yet."""
    return path.read_text() if path.exists() else None


def _replace(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")  # hidden, so that a glob of rule files does not see it
    beside.write_text(content)
    beside.replace(path)


def _restore(path: Path, former: str | None) -> None:
    if former is None:
        path.unlink(missing_ok=True)
    else:
        _replace(path, former)
