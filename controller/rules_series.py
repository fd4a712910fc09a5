"""How the objectives' rules stand in Prometheus, as series; zero is exported before anything is counted."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from contracts import metric_names as names
from controller.rules_ports import RulesPublished, RulesRefused, RulesStanding, RulesState, RulesUnknown

WANTED, LOADED = "wanted", "loaded"
OUTCOMES = {RulesPublished: "published", RulesRefused: "refused", RulesUnknown: "unknown"}


class RulesSeries:
    """Four series in a given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._state = Gauge(
            names.CONTROLLER_RULES_STATE, "1 for how the rules stand.", [names.LABEL_STATE], registry=registry
        )
        self._revision = Gauge(
            names.CONTROLLER_RULES_REVISION, "Revision of the objectives.", [names.LABEL_KIND], registry=registry
        )
        self._unhealthy = Gauge(
            names.CONTROLLER_RULES_UNHEALTHY, "Loaded rules that cannot be evaluated.", registry=registry
        )
        self._published = Counter(
            names.CONTROLLER_RULES_PUBLISHED_TOTAL,
            "Tries to publish the rules.",
            [names.LABEL_OUTCOME],
            registry=registry,
        )
        for state in RulesStanding:
            self._state.labels(state)
        for outcome in OUTCOMES.values():
            self._published.labels(outcome)

    def tried(self, outcome: RulesPublished | RulesRefused | RulesUnknown) -> None:
        """Count one try."""
        self._published.labels(OUTCOMES[type(outcome)]).inc()

    def stand(self, state: RulesState, revision_wanted: int) -> None:
        """Take over how things stand."""
        for each in RulesStanding:
            self._state.labels(each).set(each is state.state)
        self._revision.clear()
        self._revision.labels(WANTED).set(revision_wanted)
        if state.revision_loaded is not None:
            self._revision.labels(LOADED).set(state.revision_loaded)
        self._unhealthy.set(len(state.unhealthy))
