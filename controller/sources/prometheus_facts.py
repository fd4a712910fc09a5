"""Facts about a Prometheus for admissions: every question bounded in time, in points and in bytes.

An operator waits for the answer, and a typo may select every series there is. So a question that takes too long or brings
too much becomes `NoAnswer` instead of a slow controller. The questions are asynchronous and end with whoever asked.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from contracts.metric_names import LABEL_INSTANCE, LABEL_JOB
from controller.admission.facts import Line, NoAnswer, Row, ServerFacts
from controller.admission.reading import seconds_of

TIMEOUT_S = 10.0
"""Of one question. Prometheus is asked to give up by then, too, so that it does not work for nobody."""
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""A week of minutes is 300 kB per series."""
POINTS_MAX = 10_000
"""Prometheus refuses range queries of more than 11,000 points per series: a week of minutes is 10,080, so six days."""
POINTS_HELD_MAX = 500_000
"""Of one question, all series and stretches together: some 60 MB. Fifty regions over a week, five over two months."""
MINUTE_S = 60


Lines = dict[str, tuple[Mapping[str, str], list[tuple[float, float]]]]
"""Labels and points of each series, by its labels as text."""


class PrometheusFacts:
    """`admission.facts.FactSource` over Prometheus' HTTP API."""

    def __init__(self, *, url: str, client: httpx.AsyncClient, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._timeout_s = timeout_s

    async def server(self) -> ServerFacts | NoAnswer:
        """Version, retention and scrape intervals."""
        build = await self._ask("status/buildinfo", {})
        if isinstance(build, NoAnswer):
            return build
        runtime = await self._ask("status/runtimeinfo", {})
        targets = await self._ask("targets", {"state": "active"})
        try:
            return ServerFacts(
                version=str(build["version"]),
                retention_s=None if isinstance(runtime, NoAnswer) else _retention_s(str(runtime["storageRetention"])),
                scrape_interval_s={} if isinstance(targets, NoAnswer) else _intervals(targets["activeTargets"]),
            )
        except (KeyError, TypeError) as error:
            return NoAnswer(f"it answered something else than its status: {error!r}")

    async def metric_type(self, metric: str) -> str | NoAnswer:
        """From the metadata of the targets; recorded series have none."""
        answer = await self._ask("metadata", {"metric": metric, "limit_per_metric": "1"})
        if isinstance(answer, NoAnswer):
            return answer
        try:
            kinds = answer.get(metric) or []
            return str(kinds[0]["type"]) if kinds else ""
        except (AttributeError, KeyError, TypeError) as error:
            return NoAnswer(f"it answered something else than metadata: {error!r}")

    async def instant(self, query: str) -> tuple[Row, ...] | NoAnswer:
        """An instant vector, now."""
        answer = await self._ask("query", {"query": query, "timeout": f"{self._timeout_s:g}s"})
        if isinstance(answer, NoAnswer):
            return answer
        try:
            return tuple(Row(row["metric"], float(row["value"][1])) for row in answer["result"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return NoAnswer(f"it answered something else than a vector: {error!r}")

    async def minutes(self, query: str, starts_unix_s: int, ends_unix_s: int) -> tuple[Line, ...] | NoAnswer:
        """The query at every minute, in stretches of `POINTS_MAX`."""
        found: Lines = {}
        for start in range(starts_unix_s, ends_unix_s + 1, POINTS_MAX * MINUTE_S):
            end = min(start + (POINTS_MAX - 1) * MINUTE_S, ends_unix_s)
            span = {"start": str(start), "end": str(end), "step": str(MINUTE_S)}
            answer = await self._ask("query_range", {"query": query, **span, "timeout": f"{self._timeout_s:g}s"})
            if isinstance(answer, NoAnswer):
                return answer
            try:
                await asyncio.to_thread(_add, answer["result"], found)
            except (KeyError, TypeError, ValueError) as error:
                return NoAnswer(f"it answered something else than a matrix: {error!r}")
            if sum(len(points) for _labels, points in found.values()) > POINTS_HELD_MAX:
                return NoAnswer(
                    f"its past has more than {POINTS_HELD_MAX:,} points: ask for fewer days, or fewer regions"
                )
        return tuple(Line(labels, tuple(points)) for labels, points in found.values())

    async def _ask(self, what: str, parameters: Mapping[str, str]) -> Any | NoAnswer:  # noqa: ANN401  # decoded JSON
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._read(f"{self._url}/api/v1/{what}", parameters)
        except TimeoutError:
            return NoAnswer(f"no answer about {what} within {self._timeout_s:g} s")
        except httpx.HTTPError as error:
            return NoAnswer(f"no answer about {what}: {error!r}")
        if isinstance(body, NoAnswer):
            return body
        try:
            answer = await asyncio.to_thread(json.loads, body)
            if answer["status"] != "success":
                return NoAnswer(f"it refused the question: {answer.get('error', '')[:300]}")
            return answer["data"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return NoAnswer(f"its answer about {what} is no JSON of its API: {error!r}")

    async def _read(self, url: str, parameters: Mapping[str, str]) -> bytes | NoAnswer:
        """The body, whatever the status: Prometheus explains a refusal in it."""
        body = bytearray()
        # An expression over many series may be longer than a URL may be.
        method, query, form = ("POST", None, parameters) if "query" in parameters else ("GET", parameters, None)
        async with self._client.stream(method, url, params=query, data=form, timeout=self._timeout_s) as answer:
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    return NoAnswer(f"it answered more than {ANSWER_BYTES_MAX} bytes")
        return bytes(body)


def _add(rows: list[dict[str, Any]], found: Lines) -> None:
    """In a thread: hundreds of thousands of points are half a second of work."""
    for row in rows:
        _labels, points = found.setdefault(json.dumps(row["metric"], sort_keys=True), (row["metric"], []))
        points += [(float(at), float(value)) for at, value in row["values"]]


def _retention_s(told: str) -> int | None:
    """`15d` and `15d or 10GiB` → 1296000; `10GiB`, which is no time, → None."""
    return int(seconds_of(told.partition(" or ")[0])) or None


def _intervals(targets: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    return {
        (target["labels"].get(LABEL_JOB, ""), target["labels"].get(LABEL_INSTANCE, "")): seconds_of(
            target["scrapeInterval"]
        )
        for target in targets
    }
