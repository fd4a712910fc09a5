"""What can go wrong on the way to an installed host.

HostError
├── EnvFileError    a line of the environment file cannot be read
└── InstallError    the installation cannot be done as asked; nothing was changed
"""


class HostError(Exception):
    """Base of the expected troubles of this package."""


class EnvFileError(HostError):
    """The environment file is malformed; the message names the line."""


class InstallError(HostError):
    """Not possible as asked: no permission, or a file that is not ours to change."""
