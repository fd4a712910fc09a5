"""What can go wrong with simulated GPUs.

SimulatedGpusError
├── CompilerMissingError   nothing to build the library with
├── BuildError             the compiler refused, or the built library and this package disagree
├── StateError             the state file is missing, or not one of ours
├── FaultError             a fault that does not exist, or cannot be had here
└── ScriptError            a script of faults that cannot be played
"""


class SimulatedGpusError(Exception):
    """The message says what was tried and what would work."""


class CompilerMissingError(SimulatedGpusError):
    """No C compiler is installed."""


class BuildError(SimulatedGpusError):
    """The library could not be built, or is not the one this package describes."""


class StateError(SimulatedGpusError):
    """There is no usable state file."""


class FaultError(SimulatedGpusError):
    """The fault, the GPU or the Xid does not exist here."""


class ScriptError(SimulatedGpusError):
    """The script does not say what to do when."""
