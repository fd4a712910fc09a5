"""The hands: start, restart, stop and switch one replica, with the bookkeeping that each of them needs.

Orders and reflexes both act through these methods, and only while they hold the replica's claim. Each new process gets
the next generation, and the host's memory learns it, so that orders about a former process stay refused across a
restart of the agent. Whoever is cut off half-way leaves a state that is watched and healed, never a replica that counts as
serving with nothing behind it.
"""

from agent.errors import ReplicaRuntimeError
from agent.healing.board import Board, Unit, with_profile
from agent.ports import HostMemory, Instance, Prober, ReplicaControl, ReplicaMemory, ReplicaRuntime
from contracts.serving_api import SwitchProfileResponse
from contracts.vocabulary import ProfileId, ReplicaId, ReplicaState


class Actuator:
    """Does one thing to one replica; the caller holds the claim."""

    def __init__(
        self, *, board: Board, runtime: ReplicaRuntime, prober: Prober, control: ReplicaControl, memory: HostMemory
    ) -> None:
        self._board = board
        self._runtime = runtime
        self._prober = prober
        self._control = control
        self._memory = memory

    async def start(self, replica: ReplicaId, profile: ProfileId | None = None) -> None:
        """Make it run; `profile` None keeps the one it had. Raises `ReplicaRuntimeError`; the replica is CRASHED then."""
        unit = self._board.units[replica]
        if profile is not None:
            self._board.assign(with_profile(unit.spec, profile))
        await self._renew(unit, None)

    async def restart(self, replica: ReplicaId, grace_s: float) -> None:
        """Replace its process; `grace_s` 0 kills at once. Raises `ReplicaRuntimeError`; the replica is CRASHED then."""
        await self._renew(self._board.units[replica], grace_s)

    async def stop(self, replica: ReplicaId, grace_s: float, *, state: ReplicaState, reason: str = "") -> None:
        """End its process, into STOPPED (by order: it stays so after a restart of the agent), QUARANTINED or CRASHED.

        Raises `ReplicaRuntimeError`; the process counts as running again then, and is probed and healed like before.
        """
        unit = self._board.units[replica]
        instance, is_ended = unit.instance, False
        self._board.ending(replica)
        try:
            await self._runtime.stop(replica, grace_s)
            is_ended = True
        finally:
            if not is_ended:
                self._board.not_ended(replica, instance)
        self._prober.forget(replica)
        self._board.ended(replica, state, reason)
        self._remember(unit, "")

    async def switch_profile(self, replica: ReplicaId, profile: ProfileId) -> SwitchProfileResponse:
        """Switch it while it serves; what it then runs is also what its next start gets."""
        unit = self._board.units[replica]
        answer = await self._control.switch_profile(unit.spec, profile)
        self._board.assign(with_profile(unit.spec, answer.profile))
        self._remember(unit, unit.instance.token if unit.instance else "")
        return answer

    def adopt(self, instance: Instance, remembered: ReplicaMemory | None) -> None:
        """Take over a process that outlived the former agent; it keeps its generation when it is still the same."""
        unit = self._board.units[instance.replica]
        generation = 0 if remembered is None else remembered.generation
        same = remembered is not None and remembered.token == instance.token
        self._board.began(instance, generation if same else generation + 1)
        self._remember(unit, instance.token)

    async def _renew(self, unit: Unit, grace_s: float | None) -> None:
        replica, trouble = unit.spec.replica, "its start was cut off"
        self._board.ending(replica)
        try:
            if grace_s is None:
                instance = await self._runtime.start(unit.spec)
            else:
                instance = await self._runtime.restart(unit.spec, grace_s)
            trouble = ""
        except ReplicaRuntimeError as error:
            trouble = f"could not be started: {error}"
            raise
        finally:
            if trouble:
                self._board.ended(replica, ReplicaState.CRASHED, trouble)
        self._prober.forget(replica)
        self._board.began(instance, unit.generation + 1)
        unit.restarts_total += 1
        self._remember(unit, instance.token)

    def _remember(self, unit: Unit, token: str) -> None:
        self._memory.remember(
            ReplicaMemory(
                replica=unit.spec.replica,
                generation=unit.generation,
                wanted=unit.health.state is not ReplicaState.STOPPED,
                profile=unit.spec.profile,
                token=token,
                gpus=unit.spec.gpus,
            )
        )
