"""One SLO as its peers need it: the names of a histogram's series, and numbers in plain decimals.

Sloth and Pyrra get the very `Slo` that ours is compiled from, so that a difference in a table is a difference in rules.
"""

from dataclasses import dataclass
from decimal import Decimal

from slo_rules import promql
from slo_rules.indicators import ClassicHistogram
from slo_rules.model import Slo
from slo_rules.selectors import parse_selector
from slo_rules.tiers import exact_budget


@dataclass(frozen=True, slots=True)
class PeerSlo:
    """`slo` about a classic histogram, over a rolling window."""

    slo: Slo
    histogram: ClassicHistogram

    @property
    def metric(self) -> str:
        """The histogram's name without suffix."""
        return parse_selector(self.histogram.selector).metrics[0]

    def requests(self) -> str:
        """All requests: the histogram's count."""
        return self._series("_count")

    def fast_requests(self) -> str:
        """Those up to the threshold."""
        return self._series("_bucket", promql.equals("le", promql.number(self.histogram.threshold)))

    @property
    def budget(self) -> str:
        """1 − objective, as text."""
        return promql.number(exact_budget(self.slo))

    @property
    def objective(self) -> str:
        return promql.number(self.slo.objective)

    def error_ratio(self, window_s: int) -> str:
        """Share of requests above the threshold over `window_s`, as both peers ask for it."""
        window = promql.duration(window_s)
        requests, fast = (f"sum(rate({series}[{window}]))" for series in (self.requests(), self.fast_requests()))
        return f"({requests} - {fast}) / {requests}"

    def times_budget(self, factor: Decimal) -> str:
        """An alert's threshold, as both peers write it."""
        return f"({promql.number(factor)} * {self.budget})"

    def _series(self, suffix: str, *more: promql.Matcher) -> str:
        parsed = parse_selector(self.histogram.selector)
        return promql.selector(f"{parsed.metrics[0]}{suffix}", *parsed.matchers, *more)


def peer_slo(slo: Slo) -> PeerSlo:
    """`TypeError` for an SLO that is not about a classic histogram."""
    if not isinstance(slo.indicator, ClassicHistogram):
        msg = f"{slo.id}: the peers are compared on a classic histogram"
        raise TypeError(msg)
    return PeerSlo(slo, slo.indicator)
