"""What the safety kernel is asked, and what one of its checks is."""

from collections.abc import Callable
from dataclasses import dataclass

from controller.core.actions import Action
from controller.core.fleet import Fleet
from controller.core.ledger import Ledger
from controller.core.policy import Policy
from controller.core.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Question:
    """May `action` begin now?"""

    action: Action
    fleet: Fleet
    ledger: Ledger
    policy: Policy
    now_unix_s: float


Check = Callable[[Question], Refusal | None]
"""One reason not to; None when it does not apply."""
