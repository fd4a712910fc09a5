"""What the agent remembers, as entries: each is one fact, and reading them in order gives the memory back.

No I/O here. The journal's file holds the entries; `Memory` is what they add up to, and `entries` says the same again in as
few of them as possible.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from agent.core.receipts import MachineNote, settled
from agent.ports import ReplicaMemory
from contracts.agent_api import Receipt
from contracts.serving_api import SloThresholds
from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus, ReplicaId

RECEIPTS_MAX = 1024
"""Receipts kept that the controller has confirmed, and as many that it has not. The controller forgets an order minutes
after it is acknowledged; a thousand orders take a host hours."""
MACHINE_NOTES_MAX = 32
"""Machine orders remembered: more than any sane limit allows in a day."""
NO_FENCE = 0.0
"""Every order may be judged by its key alone."""
UNTIL_HEARD = math.inf
"""Part of the memory is lost, and the controller has not told its time yet: no order can be proven to be new."""

Entry = tuple[str, object]
"""What kind of fact, and its data as JSON values."""


@dataclass(slots=True)
class Memory:
    """Receipts, the highest epoch, replicas, machine orders, SLO thresholds and the fence after a loss."""

    receipts: dict[OrderKey, Receipt] = field(default_factory=dict)
    acknowledged: set[OrderKey] = field(default_factory=set)
    replicas: dict[ReplicaId, ReplicaMemory] = field(default_factory=dict)
    machine_notes: deque[MachineNote] = field(default_factory=lambda: deque(maxlen=MACHINE_NOTES_MAX))
    epoch: int = 0
    thresholds: SloThresholds = field(default_factory=lambda: SloThresholds(revision=0, thresholds=()))
    fence_unix_s: float = NO_FENCE
    """On the controller's clock: an order that ends by then may have been executed before the loss."""

    def apply(self, entry: Entry) -> None:
        """Take one fact in; raises `ValueError`, `KeyError` or `TypeError` for one that nobody can have written."""
        kind, data = entry
        match kind:
            case "receipt":
                self.keep(Receipt.model_validate(data))
            case "acknowledged" if isinstance(data, dict):
                (self.acknowledged.update if data["known"] else self.acknowledged.difference_update)(data["keys"])
            case "epoch" if isinstance(data, int):
                self.epoch = max(self.epoch, data)
            case "replica" if isinstance(data, dict):
                memory = ReplicaMemory(**{**data, "gpus": tuple(data.get("gpus", ()))})
                self.replicas[memory.replica] = memory
            case "machine" if isinstance(data, dict):
                self.note(MachineNote(**{**data, "kind": OrderKind(data["kind"])}))
            case "thresholds":
                self.thresholds = SloThresholds.model_validate(data)
            case "fence" if isinstance(data, float | None):
                self.fence_unix_s = UNTIL_HEARD if data is None else data
            case _:
                msg = f"unknown journal entry {kind}"
                raise ValueError(msg)

    def entries(self) -> list[Entry]:
        """The whole memory; applied to an empty one they give an equal one."""
        said: list[Entry] = [("epoch", self.epoch), fence_entry(self.fence_unix_s)]
        said += [("replica", asdict(memory)) for memory in self.replicas.values()]
        said += [("machine", asdict(note)) for note in self.machine_notes]
        said.append(("thresholds", self.thresholds.model_dump(mode="json")))
        said += [("receipt", receipt.model_dump(mode="json")) for receipt in self.receipts.values()]
        said.append(("acknowledged", {"keys": sorted(self.acknowledged), "known": True}))
        return said

    def over(self, older: "Memory") -> "Memory":
        """Both in one, when `self` was made without knowing `older` and without executing anything meanwhile.

        Therefore the older receipts win: ours of the same keys are refusals for want of memory.
        """
        return Memory(
            receipts={**self.receipts, **older.receipts},
            acknowledged=self.acknowledged | older.acknowledged,
            replicas={**older.replicas, **self.replicas},
            machine_notes=deque(dict.fromkeys((*older.machine_notes, *self.machine_notes)), maxlen=MACHINE_NOTES_MAX),
            epoch=max(self.epoch, older.epoch),
            thresholds=max(older.thresholds, self.thresholds, key=lambda thresholds: thresholds.revision),
            fence_unix_s=older.fence_unix_s,
        )

    # ── receipts ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def keep(self, receipt: Receipt) -> None:
        """The newest word on its order; the controller has not heard it."""
        self.receipts[receipt.key] = receipt
        self.acknowledged.discard(receipt.key)

    def drop(self, key: OrderKey) -> None:
        """As if this order had never been seen."""
        self.receipts.pop(key, None)
        self.acknowledged.discard(key)

    def unacknowledged(self) -> tuple[Receipt, ...]:
        """Receipts the controller has not confirmed, oldest first."""
        return tuple(receipt for key, receipt in self.receipts.items() if key not in self.acknowledged)

    def acknowledgeable(self, keys: Sequence[OrderKey], *, known: bool) -> list[OrderKey]:
        """Those of `keys` that have a final receipt and are not (un)acknowledged yet."""
        return [
            key
            for key in keys
            if key in self.receipts
            and self.receipts[key].status is not ReceiptStatus.RUNNING
            and (key in self.acknowledged) is not known
        ]

    def settle_interrupted(self, boot_id: str, now_unix_s: float) -> list[Receipt]:
        """Turn receipts that nobody works on any more from RUNNING into what can be known of them."""
        notes = {note.key: note for note in self.machine_notes}
        final = [
            settled(receipt, notes.get(receipt.key), boot_id, now_unix_s)
            for receipt in self.receipts.values()
            if receipt.status is ReceiptStatus.RUNNING
        ]
        self.receipts.update({receipt.key: receipt for receipt in final})
        return final

    def forget_oldest(self) -> None:
        """Stay within `RECEIPTS_MAX` of each sort. What was executed and is not confirmed is never forgotten.

        A refusal may be: by the time a thousand newer ones wait, its order is long past its end and would be refused again.
        """
        known = [key for key in self.receipts if key in self.acknowledged]
        refused = [
            key
            for key, receipt in self.receipts.items()
            if receipt.status is ReceiptStatus.REFUSED and key not in self.acknowledged
        ]
        for key in known[: _surplus(known)] + refused[: _surplus(refused)]:
            self.drop(key)
        self.acknowledged &= self.receipts.keys()

    @property
    def is_full(self) -> bool:
        """A controller that confirms nothing has filled it: no further order may be begun."""
        return sum(receipt.executions > 0 for receipt in self.unacknowledged()) >= RECEIPTS_MAX

    def note(self, note: MachineNote) -> None:
        """Remember a machine order; the same one read twice is one."""
        if note not in self.machine_notes:
            self.machine_notes.append(note)


def remembered(entries: Iterable[Entry]) -> tuple[Memory, int]:
    """The memory that `entries` add up to, and how many of them could not be understood."""
    memory, damaged = Memory(), 0
    for entry in entries:
        try:
            memory.apply(entry)
        except (ValueError, KeyError, TypeError):
            damaged += 1
    memory.forget_oldest()
    return memory, damaged


def fence_entry(fence_unix_s: float) -> Entry:
    """JSON has no infinity: the fence that waits for the controller's time is null."""
    return ("fence", None if fence_unix_s == UNTIL_HEARD else fence_unix_s)


def _surplus(keys: list[OrderKey]) -> int:
    return max(0, len(keys) - RECEIPTS_MAX)
