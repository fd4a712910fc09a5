"""Everything that can keep a stack from running, for people to read.

StackError
├── HomeInUseError     another supervisor owns this home
├── PortBusyError      another process listens where we must
├── StartFailedError   a part did not become ready
└── GivenUpError       a part without which nothing works kept dying
"""


class StackError(Exception):
    """The stack cannot run; the message says why and what to do."""


class HomeInUseError(StackError):
    """Another supervisor owns this home."""


class PortBusyError(StackError):
    """Another process listens on an address that the plan needs."""


class StartFailedError(StackError):
    """A part did not become ready; the message ends with the last lines of its log."""


class GivenUpError(StackError):
    """A critical part failed too often in a row."""


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a tree of groups: tasks that fail later usually fail because of it."""
    first = group.exceptions[0]
    return first_cause(first) if isinstance(first, BaseExceptionGroup) else first
