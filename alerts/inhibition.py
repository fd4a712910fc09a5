"""Which alert mutes which: only consequences, only of a cause that is being told, only where both are about the same thing.

Muting is dangerous, because a muted alert reaches nobody, the controller included. So a page about a region mutes tickets
about its machines, a faster tier a slower one, a missing controller its own loop, a GPU that is unfit what made it so.
Never muted are data that is missing (a burn seen before says nothing about now), the watchers' own alerts, and the
controller's calls for help. A test holds the whole list of pairs against every alert there is.

Other consequences are left out by the rules themselves, where PromQL knows more than labels do: a replica on an unfit GPU, one
that was stopped, an objective whose parent burns.
"""

from dataclasses import dataclass

from alerts.matchers import ALERTNAME, equals, one_of, present
from contracts.metric_names import (
    ALERT_AGENT_DOWN,
    ALERT_CONTROLLER_DOWN,
    ALERT_GATEWAY_DOWN,
    ALERT_GPU_SLOWED,
    ALERT_GPU_UNFIT,
    ALERT_LOOP_STUCK,
    ALERT_NO_LEADER,
    ALERT_REGION_UNATTENDED,
    ALERT_REPLICA_DOWN,
    ALERT_REPLICA_UNSCRAPED,
    ALERT_SLO_BURN,
    ALERT_SLO_NO_DATA,
    ALERT_XID_STORM,
    LABEL_HOST,
    LABEL_REGION,
    LABEL_SEVERITY,
    LABEL_SLO,
    LABEL_TIER,
    LABEL_UUID,
)
from slo_rules.tiers import LADDER, Severity

REGION_PAGES = (ALERT_SLO_BURN, ALERT_SLO_NO_DATA, ALERT_GATEWAY_DOWN, ALERT_REGION_UNATTENDED)
"""Say what is wrong with a region as a whole."""
MACHINE_TICKETS = (ALERT_REPLICA_DOWN, ALERT_REPLICA_UNSCRAPED, ALERT_AGENT_DOWN)
"""Machines that are away. Not those that wait for a person whatever else happens: a quarantine, a withheld restart, a full
disk."""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `cause` fires, `consequence` with the same `equal` labels is not told."""

    cause: tuple[str, ...]
    consequence: tuple[str, ...]
    equal: tuple[str, ...] = ()
    """Labels that both must share; the cause has to have each of them, or two missing ones would match."""

    def render(self) -> dict[str, object]:
        """One entry of `inhibit_rules`."""
        equal = {"equal": list(self.equal)} if self.equal else {}
        return {
            "source_matchers": [*self.cause, *(present(label) for label in self.equal)],
            "target_matchers": list(self.consequence),
            **equal,
        }


def inhibitions() -> tuple[Inhibition, ...]:
    """All of them."""
    return (
        *_faster_tiers_mute_slower(),
        _PAGE_MUTES_MACHINES,
        _UNFIT_GPU_MUTES_ITS_SYMPTOMS,
        _NO_CONTROLLER_MUTES_ITS_LOOP,
    )


def _faster_tiers_mute_slower() -> tuple[Inhibition, ...]:
    """Also covers a cold start, when every window is as short as the history and all tiers fire at once."""
    numbers = [str(rung.number) for rung in LADDER]
    burn = equals(ALERTNAME, ALERT_SLO_BURN)
    return tuple(
        Inhibition(
            cause=(burn, one_of(LABEL_TIER, numbers[:position])),
            consequence=(burn, equals(LABEL_TIER, number)),
            equal=(LABEL_SLO, LABEL_REGION),
        )
        for position, number in enumerate(numbers)
        if position > 0
    )


_PAGE_MUTES_MACHINES = Inhibition(
    # Somebody is already looking at this region; a machine that is still away afterwards is told then.
    cause=(one_of(ALERTNAME, REGION_PAGES), equals(LABEL_SEVERITY, Severity.PAGE.value)),
    consequence=(one_of(ALERTNAME, MACHINE_TICKETS), equals(LABEL_SEVERITY, Severity.TICKET.value)),
    equal=(LABEL_REGION,),
)
_UNFIT_GPU_MUTES_ITS_SYMPTOMS = Inhibition(
    # The verdict names what the device calls for; its heat and its driver errors are the evidence.
    cause=(equals(ALERTNAME, ALERT_GPU_UNFIT),),
    consequence=(one_of(ALERTNAME, (ALERT_GPU_SLOWED, ALERT_XID_STORM)),),
    equal=(LABEL_REGION, LABEL_HOST, LABEL_UUID),
)
_NO_CONTROLLER_MUTES_ITS_LOOP = Inhibition(
    cause=(equals(ALERTNAME, ALERT_CONTROLLER_DOWN),),
    consequence=(one_of(ALERTNAME, (ALERT_LOOP_STUCK, ALERT_NO_LEADER)),),
)
