"""One place where expected trouble becomes a sentence and an exit code.

0 done · 1 it did not work · 2 it cannot work as asked (usage, missing programs, no prepared voice).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape

from slo_rules.errors import SloError
from trimtab.api_client import ApiError
from trimtab.chaos.processes import NoSuchTargetError
from trimtab.cli.options import error_console
from trimtab.demo.calibrate import CalibrationError
from trimtab.demo.speak import SpeechError
from trimtab.host.errors import HostError
from trimtab.setup import SetupError
from trimtab.stack.assemble import VoiceNotPreparedError
from trimtab.stack.model import PlanError
from trimtab.stack.programs import MissingProgramsError
from trimtab.stack.settings import StackSettingsError
from trimtab.supervisor.errors import StackError

EXIT_FAILED = 1
EXIT_UNUSABLE = 2
UNUSABLE = (MissingProgramsError, VoiceNotPreparedError, StackSettingsError, PlanError, SloError, HostError)
FAILED = (StackError, ApiError, NoSuchTargetError, SetupError, CalibrationError, SpeechError)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Runs a command that may raise our errors; anything else is a defect and keeps its traceback."""
    try:
        yield
    except UNUSABLE as error:
        _tell(error)
        raise SystemExit(EXIT_UNUSABLE) from error
    except FAILED as error:
        _tell(error)
        raise SystemExit(EXIT_FAILED) from error


def _tell(error: Exception) -> None:
    error_console().print(f"[bold red]trimtab:[/] {escape(str(error))}")
