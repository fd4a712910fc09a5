"""What this agent cannot do at the moment, while the rest of it goes on.

A full disk, an engine that does not answer or a driver that hangs must not end the process: the part says so here, the
host report, `/readyz` and the log repeat it, and the part clears it when it works again. An agent that is degraded is
still ready: taking it out of service would not mend its disk. Changes only on the event loop.
"""

from collections.abc import Callable

from chassis.logs import logger
from contracts.agent_api import Degradation

log = logger(__name__)
REASON_CHARS_MAX = 300
"""One sentence for a person: it travels with every report."""


class Degradations:
    """The parts that cannot do their work now, by name. Names come from the code, so their number is bounded."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change` is called after every change; the board's bell, so that the controller hears of it at once."""
        self._on_change = on_change
        self._reasons: dict[str, str] = {}

    def set(self, part: str, reason: str) -> None:
        """`part` cannot do its work. Saying the same again changes nothing, so callers may repeat themselves."""
        reason = reason[:REASON_CHARS_MAX]
        if self._reasons.get(part) == reason:
            return
        self._reasons[part] = reason
        log.warning("part_degraded", part=part, reason=reason)
        self._on_change()

    def clear(self, part: str) -> None:
        """`part` works."""
        reason = self._reasons.pop(part, None)
        if reason is None:
            return
        log.info("part_recovered", part=part, was=reason)
        self._on_change()

    def current(self) -> tuple[Degradation, ...]:
        """Every degraded part, by name."""
        return tuple(Degradation(part=part, reason=reason) for part, reason in sorted(self._reasons.items()))
