"""Starting, restarting and stopping a replica in a Swarm, until its task really runs, or none does any more.

Blocking, made in a thread: Swarm takes a changed service at once and acts on it later, so each of these waits for the
level it was asked for, within bounds.
"""

from collections.abc import Callable, Mapping

from agent.errors import ReplicaRuntimeError
from agent.ports import ReplicaSpec
from agent.runtimes.swarm_services import Services, Task
from chassis.clock import blocking_sleep
from contracts.vocabulary import ReplicaId

LOOK_S = 0.1
"""Between two looks at a task that is on its way."""
PLACE_S_MAX = 30.0
"""From a changed service to a running task: 0.3 s on a machine that has the image; a fetch of it takes longer, and a task
that no machine can take never comes."""
SWARM_STOP_S = 5.0
"""On top of the grace: Swarm itself waits two seconds for its network to forget a task that it ends."""
RUNNING = "running"
COMING = frozenset({"new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting"})
"""States on the way to `running` (Docker's documentation, "Swarm task states"); all others are final."""
RAN = "task: non-zero exit"
"""How Swarm begins the error of a task that did run; all others never got so far."""


def start(services: Services, spec: ReplicaSpec, is_over: Callable[[Task], bool]) -> Task:
    """The task that runs, or a new one; `is_over` knows of ends that Swarm has not heard of yet."""
    tasks = services.tasks_of(spec.replica)
    wanted = next((task for task in tasks if is_wanted(task) and not is_over(task)), None)
    return wanted if wanted is not None else _run_anew(services, spec, tasks)


def restart(services: Services, spec: ReplicaSpec, node: str, grace_s: float) -> Task:
    """A new task in the place of the one that runs."""
    tasks = services.tasks_of(spec.replica)
    for task in filter(is_wanted, tasks):
        services.end_here(task, node, grace_s)
    return _run_anew(services, spec, tasks)


def stop(services: Services, replica: ReplicaId, node: str, grace_s: float) -> None:
    """No task; raises `ReplicaRuntimeError` when one outlives every grace."""
    for task in filter(is_wanted, services.tasks_of(replica)):
        services.end_here(task, node, grace_s)
    services.stop(replica)
    for _ in range(round((services.template.stop_grace_s + SWARM_STOP_S) / LOOK_S)):
        if not any(runs(task) for task in services.tasks_of(replica)):
            return
        blocking_sleep(LOOK_S)
    msg = f"Swarm did not stop {replica}"
    raise ReplicaRuntimeError(msg)


def runs(task: Task) -> bool:
    """It runs now, wanted or not."""
    return bool(task["Status"]["State"] == RUNNING)


def is_wanted(task: Task) -> bool:
    """It runs, and Swarm is not about to end it."""
    return runs(task) and bool(task["DesiredState"] == RUNNING)


def is_over(task: Task) -> bool:
    """It does not run, and never will."""
    return not runs(task) and task["Status"]["State"] not in COMING


def _run_anew(services: Services, spec: ReplicaSpec, former: list[Task]) -> Task:
    """Until a task that did not exist before runs, or ran; raises when Swarm gave up before that, or found no machine."""
    known = {task["ID"] for task in former}
    services.run_anew(spec)
    newest: Task | None = None
    for _ in range(round((PLACE_S_MAX + services.template.stop_grace_s + SWARM_STOP_S) / LOOK_S)):
        fresh = [task for task in services.tasks_of(spec.replica) if task["ID"] not in known]
        newest = max(fresh, key=lambda task: str(task["CreatedAt"]), default=None)
        if newest is not None and newest["Status"]["State"] not in COMING:
            break
        blocking_sleep(LOOK_S)
    if newest is None:
        msg = f"Swarm made no task for {spec.replica}"
        raise ReplicaRuntimeError(msg)
    if not runs(newest) and not _ran(newest["Status"]):
        status = newest["Status"]
        msg = f"Swarm could not run {spec.replica}: {status.get('Err') or status.get('Message') or status['State']}"
        raise ReplicaRuntimeError(msg)
    return newest


def _ran(status: Mapping[str, object]) -> bool:
    """A task that is over, and did run before."""
    return status["State"] == "complete" or str(status.get("Err") or "").startswith(RAN)
