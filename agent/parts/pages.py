"""The three pages of one agent: what each says."""

import json

from agent.degradation import Degradations
from agent.exporter import CONTENT_TYPE
from agent.exporter.compose import Observatory
from agent.exporter.health import METRICS_PAGE
from agent.pages.answers import FreshPage, Response
from agent.pages.server import PageServer
from agent.settings import AgentSettings
from chassis.clock import Clock
from chassis.health import Readiness

PAGE_AGE_S_MAX = 0.2
"""Several Prometheus servers that scrape at the same moment cost one page; no figure on it is read more often than once a
second."""


def build_pages(
    settings: AgentSettings,
    observatory: Observatory,
    readiness: Readiness,
    degradations: Degradations,
    clock: Clock,
) -> PageServer:
    """A degraded agent is ready, and says what it cannot do."""

    def readyz() -> Response:
        body = {
            "ready": readiness.ready,
            "reason": readiness.reason,
            "degraded": {degradation.part: degradation.reason for degradation in degradations.current()},
        }
        return Response(200 if readiness.ready else 503, json.dumps(body) + "\n", "application/json")

    metrics = FreshPage(observatory.exporter.render, content_type=CONTENT_TYPE, age_s_max=PAGE_AGE_S_MAX, clock=clock)
    return PageServer(
        address=str(settings.address),
        port=settings.port,
        routes={METRICS_PAGE: metrics, "/livez": lambda: Response(200, "alive\n"), "/readyz": readyz},
        traffic=observatory.traffic,
        clock=clock,
    )
