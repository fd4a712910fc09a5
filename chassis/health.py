"""Readiness as named conditions: ready when every condition holds, and able to say which does not."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Readiness:
    """A small board of named conditions; unknown until set, and unknown means not ready."""

    required: tuple[str, ...]
    _states: dict[str, str | None] = field(default_factory=dict)

    def hold(self, condition: str) -> None:
        """`condition` is fulfilled."""
        self._states[condition] = None

    def fail(self, condition: str, reason: str) -> None:
        """`condition` is not fulfilled, and why."""
        self._states[condition] = reason

    @property
    def reason(self) -> str:
        """Why not ready, or an empty string when ready."""
        reasons = [
            f"{name}: {self._states.get(name, 'not yet known')}"
            for name in self.required
            if self._states.get(name, "not yet known") is not None
        ]
        return "; ".join(reasons)

    @property
    def ready(self) -> bool:
        """True when every required condition holds."""
        return not self.reason
