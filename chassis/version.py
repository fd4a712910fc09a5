"""The version that is installed, so that hosts of a fleet can be compared."""

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Of the installed package; `unknown` when it runs from files that were never installed."""
    try:
        return version("trimtab")
    except PackageNotFoundError:
        return "unknown"
