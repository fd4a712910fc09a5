"""What a GPU's errors call for.

The table is data (`data/xid_actions.yaml`), because NVIDIA's catalogue changes with every driver and its sources
disagree. The driver's own verdict, the recovery action of R570 and later, wins over any table: it has seen the device.
The agent only recommends; resetting a GPU or rebooting a host is ordered by the controller or a person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.vocabulary import GpuAction

_SEVERITY = {action: rank for rank, action in enumerate(GpuAction)}

RECOVERY_ACTIONS: Mapping[int, GpuAction] = {
    0: GpuAction.NONE,
    1: GpuAction.RESET_GPU,
    2: GpuAction.REBOOT_HOST,
    3: GpuAction.DRAIN_GPU,
    4: GpuAction.RESET_GPU,
}
"""NVML field 230, `NVML_FI_DEV_GET_GPU_RECOVERY_ACTION`: none, reset, reboot, drain peers, drain and reset (nvml.h 12.9)."""


@dataclass(frozen=True, slots=True)
class XidRule:
    """One line of the table."""

    xid: int
    meaning: str
    action: GpuAction


@dataclass(frozen=True, slots=True)
class XidTable:
    """Known Xids with their source and date."""

    source: str
    date: str
    rules: Mapping[int, XidRule]

    def action_for(self, xid: int) -> GpuAction:
        """What one Xid calls for; an unknown one drains the GPU, the safest reversible act."""
        rule = self.rules.get(xid)
        return GpuAction.DRAIN_GPU if rule is None else rule.action


class XidTableError(ValueError):
    """The table cannot be used."""


def parse_table(document: object) -> XidTable:
    """Turn the parsed YAML into a table; raises `XidTableError` naming the fault."""
    if not isinstance(document, Mapping):
        msg = "the Xid table must be a mapping with source, date and xids"
        raise XidTableError(msg)
    try:
        rules = [
            XidRule(xid=int(xid), meaning=str(group["meaning"]), action=GpuAction(group["action"]))
            for group in document["xids"]
            for xid in group["codes"]
        ]
        table = XidTable(
            source=str(document["source"]), date=str(document["date"]), rules={rule.xid: rule for rule in rules}
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"cannot read the Xid table: {error!r}"
        raise XidTableError(msg) from error
    if len(table.rules) != len(rules):
        msg = "the Xid table names one code twice"
        raise XidTableError(msg)
    return table


def recommend(xids: Iterable[int], recovery_action: int | None, table: XidTable) -> GpuAction:
    """The driver's verdict on the GPU where it gives one (`recovery_action` not None), else the table's most drastic action.

    The driver speaks of the device only: when that is fine, a program it stopped still has to be restarted.
    """
    wanted = [table.action_for(xid) for xid in xids]
    if recovery_action is not None:
        verdict = RECOVERY_ACTIONS.get(recovery_action, GpuAction.DRAIN_HOST)
        wanted = [verdict, *(action for action in wanted if action is GpuAction.RESTART_REPLICA)]
    return max(wanted, key=_SEVERITY.__getitem__, default=GpuAction.NONE)
