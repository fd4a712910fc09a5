"""What can go wrong at the agent's ports.

AgentError
├── ReplicaRuntimeError   the runtime could not do what was asked to a replica's process
├── ReplicaControlError   a replica did not accept a control call
├── MachineError          a GPU was not reset, or the host not rebooted
└── JournalError          the disk did not take an entry: what was not journaled is not executed
"""


class AgentError(Exception):
    """Base of the expected troubles of this process."""


class ReplicaRuntimeError(AgentError):
    """A process could not be started, stopped or restarted."""


class ReplicaControlError(AgentError):
    """A control call to a replica failed, or was answered with an error."""


class MachineError(AgentError):
    """A machine order could not be carried out."""


class JournalError(AgentError):
    """An entry could not be made durable."""
