"""What Grafana does with variables, done here: ask for their values, choose, and put the choice into an expression."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from grafana.model import Dashboard
from grafana.pictures.source import Source
from grafana.queries import RANGE, RATE
from grafana.variables import selector_of
from slo_rules import promql

RATE_S_MIN = 60
"""Four scrapes of 15 s: right for any scrape interval up to that."""
EVERYTHING = ".*"


@dataclass(frozen=True, slots=True)
class Choices:
    """A value for every variable of a dashboard, and the width of its time range."""

    values: Mapping[str, tuple[str, ...]]
    """By label: every value there is among what the variables before it let through."""
    chosen: Mapping[str, str]
    """By label: what takes the variable's place."""
    range_s: int
    step_s: int

    def put_into(self, text: str) -> str:
        """`text` without variables. Ones that nobody knows stay, and Prometheus refuses them."""
        known = {
            **{f"${label}": value for label, value in self.chosen.items()},
            RATE: promql.duration(max(RATE_S_MIN, 2 * self.step_s)),
            RANGE: promql.duration(self.range_s),
        }
        return re.sub(r"\$\w+", lambda name: known.get(name[0], name[0]), text)

    def with_one(self, label: str, value: str) -> "Choices":
        """The same, but exactly `value` for `label`: one copy of a repeated panel."""
        return Choices(self.values, {**self.chosen, label: value}, self.range_s, self.step_s)


def choose(dashboard: Dashboard, source: Source, *, at_s: float, range_s: int, step_s: int) -> Choices:
    """Everything where several values may be chosen, the first value where it is one, top to bottom."""
    values: dict[str, tuple[str, ...]] = {}
    chosen: dict[str, str] = {}
    for variable in dashboard.variables:
        so_far = Choices(values, chosen, range_s, step_s)
        series = source.at(f"group by ({variable.label}) ({so_far.put_into(selector_of(variable))})", at_s)
        labels = (dict(each.labels).get(variable.label, "") for each in series)
        found = tuple(sorted({label for label in labels if label}, key=_natural))
        values[variable.label] = found
        chosen[variable.label] = EVERYTHING if variable.several else next(iter(found), "")
    return Choices(values, chosen, range_s, step_s)


def _natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """10m before 1h before 3d, replica-2 before replica-10: by unit of a duration, else number by number."""
    if duration := re.fullmatch(r"(\d+)([smhd])", text):
        return (("smhd".index(duration[2]), int(duration[1])),)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part)
