"""One record per GPU of this host, folded from what the worker and the kernel log say.

Implements `GpuFitness` and `GpuUse`. Changes only on the event loop. A GPU that was seen once stays in the ledger for as
long as the agent lives, so that one that falls off the bus is reported as down and not forgotten.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.core.gpu import Driver, Gpu, GpuIdentity
from agent.core.gpu_record import (
    GpuRecord,
    Moment,
    described,
    ecc_seen,
    program_faults,
    reset_done,
    sampled,
    view,
    xid_seen,
)
from agent.core.kernel_log import KernelRecord, KernelXid, normal_pci_bus_id, xid_in
from agent.core.xid import XidTable
from agent.core.xid_history import Sighting, Witness, XidHistory
from agent.probes.gpu_facts import DriverFact, EccFact, Fact, InfoFact, SampleFact, TroubleFact, XidFact
from agent.probes.gpu_memory import ORPHANS_MAX, GpuMemory, RememberedGpu, RememberedXid
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import UNFIT_FROM, GpuAction, GpuUuid

log = logger(__name__)
LOGGED_AGAIN_S = 1.0
"""An Xid that comes again sooner is counted and not logged: a storm of thousands must not become one of log lines."""
COUNTING_S_MAX = 5.0
"""After NVML counted them, every GPU speaks within a second; one that hangs from the start must not hold up the host."""
_SEVERITY = {action: rank for rank, action in enumerate(GpuAction)}
LIBRARY_NOT_FOUND = "library_not_found"
"""The driver is not installed here. Any other reason may pass by itself."""


@dataclass(slots=True)
class GpuLedger:
    """Everything known about this host's GPUs."""

    clock: Clock
    table: XidTable
    driver: Driver = field(default_factory=lambda: Driver(up=False, reason="not_yet_known"))
    kernel_sequence: int = -1
    """Newest record of the kernel log that was taken."""
    revision: int = 0
    """Grows with every change that must outlive the agent."""
    _records: dict[str, GpuRecord] = field(default_factory=dict)
    """By UUID; a device that never told its own is known by its index."""
    _counted_s: float | None = None
    """Monotonic time at which the driver first said anything."""
    _orphans: list[tuple[KernelXid, float]] = field(default_factory=list)

    # ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────────
    def newest(self, now_s: float) -> tuple[Gpu, ...]:
        """Every GPU ever seen, in PCI order."""
        return tuple(view(record, now_s, self.table, self.driver.version) for record in self._in_order())

    def gpu(self, gpu: GpuUuid) -> Gpu | None:
        """The GPU of this UUID, or the one whose MIG instance has it; None when neither is here."""
        record = self._record_of(gpu)
        return None if record is None else view(record, self.clock.monotonic_s(), self.table, self.driver.version)

    @property
    def known(self) -> bool:
        """Whether the GPUs of this host were counted, or found to be none."""
        if self._counted_s is None:
            return False
        heard = sum(record.sample is not None for record in self._records.values())
        return heard >= self.driver.gpus or self.clock.monotonic_s() - self._counted_s > COUNTING_S_MAX

    @property
    def has_driver(self) -> bool:
        """Whether a driver is installed; one that does not answer is."""
        return self.driver.reason != LIBRARY_NOT_FOUND

    def present(self) -> tuple[GpuUuid, ...]:
        """What a program can be given: every GPU in PCI order, or its instances where it is split by MIG."""
        found: list[GpuUuid] = []
        for record in self._in_order():
            if record.identity.uuid:
                found += [each.uuid for each in record.instances] or [record.identity.uuid]
        return tuple(found)

    def why_unfit(self, gpu: GpuUuid) -> str | None:
        """Why nothing should be started there."""
        seen = self.gpu(gpu)
        if seen is None:
            return "it is not on this host"
        if not seen.up:
            return f"it is not up: {seen.reason}"
        if _SEVERITY[seen.recommended_action] >= _SEVERITY[UNFIT_FROM]:
            return f"{seen.recommended_action.value} is recommended by {seen.action_source}"
        return None

    def device_of(self, gpu: GpuUuid) -> GpuUuid | None:
        """The device itself, or the one whose MIG instance this is."""
        record = self._record_of(gpu)
        return None if record is None else record.identity.uuid

    def processes(self, gpu: GpuUuid) -> tuple[int, ...]:
        """Pids that the driver sees there; of a MIG instance, only its own."""
        seen = self.gpu(gpu)
        if seen is None:
            return ()
        instance = next((each for each in seen.mig if each.uuid == gpu), None)
        return tuple(
            process.pid
            for process in seen.processes or ()
            if instance is None
            or (process.gpu_instance, process.compute_instance) == (instance.gpu_instance, instance.compute_instance)
        )

    def program_faults(self, gpu: GpuUuid) -> int:
        """Xids so far that called for a restart of the program."""
        record = self._record_of(gpu)
        return 0 if record is None else program_faults(record, self.clock.monotonic_s(), self.table)

    # ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────
    def take(self, fact: Fact) -> None:
        """Fold in one line of the worker."""
        match fact:
            case DriverFact():
                self.driver_is(Driver(up=fact.up, reason=fact.reason, version=fact.version, gpus=fact.gpus))
            case SampleFact():
                self._change(fact.gpu, fact.uuid, lambda record: sampled(record, fact.sample(self.clock.monotonic_s())))
            case InfoFact():
                self._describe(fact)
            case XidFact():
                now_s = self.clock.monotonic_s()
                self._sight(self._key(fact.gpu, fact.uuid), Sighting(fact.xid, now_s, Witness.NVML))
            case EccFact():
                self._change(fact.gpu, fact.uuid, lambda record: ecc_seen(record, fact.severity))
            case TroubleFact():
                log.info("gpu_worker_said", what=fact.kind, reason=fact.reason, gpu=fact.gpu)

    def driver_is(self, driver: Driver) -> None:
        """NVML answers, or does not. The version stays known while it does not."""
        self.driver = replace(driver, version=driver.version or self.driver.version)
        self._counted_s = self.clock.monotonic_s() if self._counted_s is None else self._counted_s

    def take_kernel_record(self, record: KernelRecord) -> None:
        """Fold in one record of the kernel log; one that was taken before, by this agent or the one before it, is old news."""
        if record.sequence <= self.kernel_sequence:
            return
        self.kernel_sequence = record.sequence
        told = xid_in(record.text)
        if told is None:
            return
        self.revision += 1
        key = self._key_at(told.pci_bus_id)
        if key is None:
            self._orphans = [*self._orphans, (told, record.at_s)][-ORPHANS_MAX:]
        else:
            self._sight(key, Sighting(told.xid, record.at_s, Witness.KERNEL_LOG))

    def reset_done(self, gpu: GpuUuid | None) -> None:
        """A GPU, or with None the whole host, starts afresh: what was wrong before calls for nothing any more."""
        now_s = self.clock.monotonic_s()
        for key, record in self._records.items():
            if gpu is None or record is self._record_of(gpu):
                self._records[key] = reset_done(record, now_s)
        self.revision += 1

    # ── what outlives the agent ───────────────────────────────────────────────────────────────────────────────────────
    def memory(self, boot_id: str) -> GpuMemory:
        """What a restarted agent must know."""
        return GpuMemory(
            boot_id=boot_id,
            kernel_sequence=self.kernel_sequence,
            gpus=tuple(
                RememberedGpu(
                    index=record.identity.index,
                    uuid=record.identity.uuid,
                    pci_bus_id=record.identity.pci_bus_id,
                    model=record.identity.model,
                    xid_times_s=record.xids.times_s,
                    cleared_s=record.xids.cleared_s,
                )
                for record in self._records.values()
                if record.identity.pci_bus_id
            ),
            orphans=tuple(
                RememberedXid(pci_bus_id=told.pci_bus_id, xid=told.xid, at_s=at_s) for told, at_s in self._orphans
            ),
        )

    def recall(self, memory: GpuMemory) -> None:
        """Start from what a former agent of this boot remembered; what this one knows better stays as it is."""
        self.kernel_sequence = max(self.kernel_sequence, memory.kernel_sequence)
        self._orphans = self._orphans or [(KernelXid(each.pci_bus_id, each.xid), each.at_s) for each in memory.orphans]
        for each in memory.gpus:
            if each.uuid in self._records:
                continue
            identity = GpuIdentity(
                index=each.index, uuid=GpuUuid(each.uuid), pci_bus_id=each.pci_bus_id, model=each.model
            )
            history = XidHistory(
                times_s=each.xid_times_s,
                cleared_s=each.cleared_s,
                # The kernel log may yet tell of an event that only NVML had told of when the former agent ended.
                unpaired=tuple(
                    Sighting(xid, at_s, Witness.NVML) for xid, times in each.xid_times_s.items() for at_s in times
                ),
            )
            self._records[each.uuid] = GpuRecord(identity, since_s=self.clock.monotonic_s(), xids=history)

    # ── records ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _describe(self, fact: InfoFact) -> None:
        now_s, identity = self.clock.monotonic_s(), fact.identity()
        key = self._key(fact.gpu, fact.uuid)
        is_new = self._records[key].identity != identity
        self._records[key] = described(self._records[key], identity, fact.values, now_s)
        adopted = [(told, at_s) for told, at_s in self._orphans if self._key_at(told.pci_bus_id) == key]
        self.revision += is_new or bool(adopted)
        self._orphans = [each for each in self._orphans if each not in adopted]
        for told, at_s in adopted:
            self._sight(key, Sighting(told.xid, at_s, Witness.KERNEL_LOG))

    def _sight(self, key: str, sighting: Sighting) -> None:
        now = Moment(monotonic_s=self.clock.monotonic_s(), unix_s=self.clock.now_unix_s())
        former = self._records[key].xids.times_s.get(sighting.xid, ())
        self._records[key], is_new = xid_seen(self._records[key], sighting, now, self.table)
        if not is_new:
            return
        self.revision += 1
        if former and sighting.at_s - former[-1] < LOGGED_AGAIN_S:
            return
        rule = self.table.rule_for(sighting.xid)
        log.warning("xid_seen", gpu=key, xid=sighting.xid, meaning=rule.meaning, witness=sighting.witness.value)

    def _change(self, index: int, uuid: str, change: Callable[[GpuRecord], GpuRecord]) -> None:
        key = self._key(index, uuid)
        self._records[key] = change(self._records[key])

    def _key(self, index: int, uuid: str) -> str:
        """The key of a device, with a record behind it; a nameless one is taken for what was last seen at its index."""
        nameless = f"index {index}"
        if not uuid:
            at_index = [key for key, each in self._records.items() if each.identity.index == index]
            key = at_index[-1] if at_index else nameless
        else:
            key = uuid
            self._records.pop(nameless, None)
        if key not in self._records:
            identity = GpuIdentity(index=index, uuid=GpuUuid(uuid))
            self._records[key] = GpuRecord(identity, since_s=self.clock.monotonic_s())
        return key

    def _key_at(self, pci_bus_id: str) -> str | None:
        places = ((key, normal_pci_bus_id(each.identity.pci_bus_id)) for key, each in self._records.items())
        return next((key for key, place in places if place == pci_bus_id), None)

    def _record_of(self, gpu: GpuUuid) -> GpuRecord | None:
        own = self._records.get(gpu)
        if own is not None:
            return own
        return next((each for each in self._records.values() if gpu in {part.uuid for part in each.instances}), None)

    def _in_order(self) -> list[GpuRecord]:
        return sorted(self._records.values(), key=lambda each: (each.identity.pci_bus_id, each.identity.index))
