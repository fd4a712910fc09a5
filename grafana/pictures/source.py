"""What a picture asks of Prometheus: series over a range, samples of one moment, and the values of a label."""

import math
from dataclasses import dataclass
from typing import Any, Protocol, Self

import httpx

TIMEOUT_S = 10.0
"""A query that takes longer would not be a panel either."""
SERIES_MAX = 2_000
"""More are no picture; those left out would be told by an error, not by silence."""


class SourceError(Exception):
    """Prometheus did not answer, or refused the query; the message names both."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time range and how finely it is asked for, in seconds."""

    start_s: float
    end_s: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled line; gaps are simply missing points."""

    labels: tuple[tuple[str, str], ...]
    points: tuple[tuple[float, float], ...]
    """(Unix time in seconds, value), ascending; NaN and infinities are gaps."""

    @property
    def newest(self) -> float:
        """The last value."""
        return self.points[-1][1]


class Source(Protocol):
    """Where pictures get their numbers."""

    def over(self, expr: str, span: Span) -> tuple[Series, ...]:
        """Range query; `SourceError` when there is no answer."""
        ...

    def at(self, expr: str, unix_s: float) -> tuple[Series, ...]:
        """Instant query: series of one point."""
        ...


class PrometheusSource:
    """The real one, over its HTTP API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)
        self._url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def over(self, expr: str, span: Span) -> tuple[Series, ...]:
        """Range query."""
        when = {"start": f"{span.start_s:.3f}", "end": f"{span.end_s:.3f}", "step": f"{span.step_s:g}"}
        return self._ask("/api/v1/query_range", {"query": expr, **when}, "values")

    def at(self, expr: str, unix_s: float) -> tuple[Series, ...]:
        """Instant query."""
        return self._ask("/api/v1/query", {"query": expr, "time": f"{unix_s:.3f}"}, "value")

    def _ask(self, path: str, form: dict[str, str], field: str) -> tuple[Series, ...]:
        try:
            answer = self._client.post(path, data=form)
        except httpx.HTTPError as error:
            raise SourceError(f"{self._url} did not answer: {error!r}") from error
        if not answer.is_success:
            raise SourceError(f"{self._url} refused {form['query']}: {answer.status_code} {answer.text[:300]}")
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        if len(result) > SERIES_MAX:
            raise SourceError(f"{form['query']} has {len(result)} series, at most {SERIES_MAX} can be shown")
        series = (_series(each, [each[field]] if field == "value" else each[field]) for each in result)
        return tuple(each for each in series if each.points)


def _series(answer: dict[str, Any], samples: list[tuple[float, str]]) -> Series:
    points = ((float(when), float(value)) for when, value in samples)
    return Series(tuple(sorted(answer["metric"].items())), tuple(p for p in points if math.isfinite(p[1])))
