"""Compiled rules into Prometheus: write the file, reload, see this very text loaded, or put the former file back.

Prometheus refuses a reload as a whole and keeps what it ran before, but it would not start again with a broken file. So a
refused file never stays. A refusal is only ours when Prometheus takes the former file again; otherwise something else in its
configuration is broken, which says nothing about these rules.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from chassis.clock import Clock
from chassis.logs import logger
from contracts.metric_names import LABEL_DIGEST, LABEL_REVISION, SLO_RULES_INFO
from controller.drivers.rule_file_store import RuleFileStore
from controller.drivers.rule_stamp import digest_of, stamped
from controller.rules_ports import RulesPublished, RulesRefused, RulesSeen, RulesUnknown, UnhealthyRule

log = logger(__name__)

TIMEOUT_S = 10.0
"""A reload parses every rule and opens no data: seconds at worst, also with some thousand rules."""
PUBLISHED_S_MAX = 30.0
"""Of a whole publication, its rollback included: a Prometheus that drips its answers must not hold up whoever waits."""
LOOKS_MAX = 20
LOOK_S = 0.1
"""Two seconds for the groups to show up after a reload that was accepted."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Six thousand rules with their annotations and their firing alerts are a third of it."""
UNHEALTHY_MAX = 20
"""One cause usually breaks many rules; twenty of them show it."""
REASON_CHARS_MAX = 500


class PrometheusRules:
    """`rules_ports.RulePublisher` for one rule file of one Prometheus on the same file system."""

    def __init__(self, *, url: str, path: Path, client: httpx.AsyncClient, clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._file = RuleFileStore(path)
        self._client = client
        self._clock = clock
        self._one_writer = asyncio.Lock()

    async def publish(self, rules: str, revision: int) -> RulesPublished | RulesRefused | RulesUnknown:
        """Make `rules` the content of the file and what Prometheus evaluates; repeating it is safe."""
        text = stamped(rules, revision)
        async with self._one_writer:
            try:
                async with asyncio.timeout(PUBLISHED_S_MAX):
                    return await self._bring_in(text, digest_of(rules, revision))
            except TimeoutError:
                return RulesUnknown(reason=f"Prometheus was not done within {PUBLISHED_S_MAX:g} s")
            except OSError as error:
                return RulesUnknown(reason=f"writing {self._file.path} failed: {error.strerror}")
            except httpx.HTTPError as error:
                return RulesUnknown(reason=f"Prometheus did not answer: {error!r}")

    async def look(self) -> RulesSeen | RulesUnknown:
        """Which text of ours Prometheus runs, and which of its rules fail."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                groups = await self._groups()
        except TimeoutError:
            return RulesUnknown(reason=f"Prometheus did not list its rules within {TIMEOUT_S:g} s")
        except httpx.HTTPError as error:
            return RulesUnknown(reason=f"Prometheus did not answer: {error!r}")
        return groups if isinstance(groups, RulesUnknown) else _seen(groups)

    async def _bring_in(self, text: str, digest: str) -> RulesPublished | RulesRefused | RulesUnknown:
        former = await asyncio.to_thread(self._file.read)
        if former == text and await self._runs(digest) is True:
            await asyncio.to_thread(self._file.keep_as_good, text)
            return RulesPublished(digest=digest)
        if former != text:
            await asyncio.to_thread(self._file.write, text)
        refusal = await self._reload()
        if refusal:
            return await self._roll_back(former, text, refusal)
        outcome = await self._see(digest)
        if isinstance(outcome, RulesPublished):
            await asyncio.to_thread(self._file.keep_as_good, text)
        return outcome

    async def _reload(self) -> str:
        """Empty when accepted, otherwise Prometheus' reason."""
        answer = await self._client.post(f"{self._url}/-/reload", timeout=TIMEOUT_S)
        return "" if answer.is_success else f"{answer.status_code}: {answer.text.strip()[:REASON_CHARS_MAX]}"

    async def _roll_back(self, former: str | None, text: str, refusal: str) -> RulesRefused | RulesUnknown:
        log.warning("rules_rolled_back", path=str(self._file.path), reason=refusal)
        await asyncio.to_thread(self._file.go_back, former, text)
        try:
            again = await self._reload()
        except httpx.HTTPError as error:
            again = repr(error)
        if again:
            await asyncio.to_thread(self._file.leave_no_gap, text)
            return RulesUnknown(reason=f"Prometheus takes no configuration, with or without these rules: {again}")
        return RulesRefused(reason=refusal)

    async def _see(self, digest: str) -> RulesPublished | RulesUnknown:
        for _look in range(LOOKS_MAX):
            runs = await self._runs(digest)
            if isinstance(runs, RulesUnknown):
                return runs
            if runs:
                return RulesPublished(digest=digest)
            await self._clock.sleep(LOOK_S)
        return RulesUnknown(
            reason=f"Prometheus reloaded but does not show {self._file.path.name}: is it in its rule_files?"
        )

    async def _runs(self, digest: str) -> bool | RulesUnknown:
        groups = await self._groups()
        return groups if isinstance(groups, RulesUnknown) else _seen(groups).digest == digest

    async def _groups(self) -> list[dict[str, Any]] | RulesUnknown:
        """Groups that Prometheus took from our file; its path may differ there, its name may not."""
        body = bytearray()
        async with self._client.stream("GET", f"{self._url}/api/v1/rules", timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    return RulesUnknown(reason=f"Prometheus lists more than {ANSWER_BYTES_MAX} bytes of rules")
        try:
            groups = (await asyncio.to_thread(json.loads, body))["data"]["groups"]
            return [group for group in groups if Path(group["file"]).name == self._file.path.name]
        except (ValueError, KeyError, TypeError) as error:
            return RulesUnknown(reason=f"Prometheus answered something else than rules: {error!r}")


def _seen(groups: list[dict[str, Any]]) -> RulesSeen:
    rules = [(group["name"], rule) for group in groups for rule in group["rules"]]
    marks = [rule.get("labels", {}) for _, rule in rules if rule["name"] == SLO_RULES_INFO]
    mark = marks[-1] if marks else {}
    revision = mark.get(LABEL_REVISION, "")
    failing = [
        UnhealthyRule(group=group, rule=rule["name"], error=rule.get("lastError", "")[:REASON_CHARS_MAX])
        for group, rule in rules
        if rule.get("health") == "err"
    ]
    return RulesSeen(
        digest=mark.get(LABEL_DIGEST, ""),
        revision=int(revision) if revision.isdecimal() else None,
        unhealthy=tuple(failing[:UNHEALTHY_MAX]),
    )
