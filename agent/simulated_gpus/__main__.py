"""`python -m agent.simulated_gpus`: make a simulated GPU host, look at it, break it, heal it."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.simulated_gpus.build import build
from agent.simulated_gpus.directory import (
    LIBRARY_PATH_VARIABLE,
    STATE,
    STATE_VARIABLE,
    create_directory,
    open_directory,
)
from agent.simulated_gpus.errors import FaultError, ScriptError, SimulatedGpusError
from agent.simulated_gpus.faults import DESCRIPTIONS, FaultName, heal, inject, parse_fault
from agent.simulated_gpus.layout import Hang
from agent.simulated_gpus.script import parse_script, play
from agent.simulated_gpus.state import SimulatedHost
from chassis.clock import SystemClock

FAILED, UNUSABLE = 1, 2
"""Exit codes: it did not work; it cannot work as asked."""
DIRECTORY = Path("/tmp/simulated-gpus")  # noqa: S108  # a default for trying things out; tests and stacks name their own
SCRIPT_CHARS_MAX = 1_000_000
"""More than the steps that a script may have."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when it was done, 1 when it failed, 2 when it cannot be done as asked."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (FaultError, ScriptError) as error:
        return _tell(error, UNUSABLE)
    except (SimulatedGpusError, OSError) as error:
        return _tell(error, FAILED)
    except KeyboardInterrupt:
        return FAILED
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    faults = "\n".join(f"  {name:<16} {DESCRIPTIONS[name]}" for name in FaultName)
    top = argparse.ArgumentParser(
        prog="python -m agent.simulated_gpus",
        description="A GPU host without GPUs, for tests and development. Never touches a real one.",
        epilog=f"faults:\n{faults}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--dir", type=Path, default=DIRECTORY, help="where the host is or will be [%(default)s]")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("build", help="compile the library, if its sources changed")
    command.set_defaults(run=_build)

    command = commands.add_parser("create", help="make a fresh, healthy host")
    command.add_argument("--gpus", type=int, default=8, help="how many, 0 to 16 [%(default)s]")
    command.set_defaults(run=_create)

    command = commands.add_parser("show", help="what its GPUs say")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_show)

    command = commands.add_parser("fault", help="break one GPU")
    command.add_argument("fault", nargs="+", metavar="FAULT", help="see below; an Xid as `xid 79`")
    command.add_argument("--gpu", type=int, default=0, help="which [%(default)s]")
    command.set_defaults(run=_fault)

    command = commands.add_parser("heal", help="undo every fault")
    command.add_argument("--gpu", type=int, help="of this GPU only")
    command.set_defaults(run=_heal)

    command = commands.add_parser("play", help="play a script of faults, until it ends")
    command.add_argument("script", type=Path, help="YAML or JSON: a list of {after_s, fault, gpu}")
    command.set_defaults(run=_play)
    return top


EXAMPLES = f"""\
examples:
  python -m agent.simulated_gpus create --gpus 8
  {LIBRARY_PATH_VARIABLE}={DIRECTORY} {STATE_VARIABLE}={DIRECTORY / STATE} nvitop
  python -m agent.simulated_gpus fault xid 79 --gpu 3
  python -m agent.simulated_gpus heal
  TRIMTAB_AGENT_SIMULATED_GPUS={DIRECTORY} … python -m agent
"""


def _build(arguments: argparse.Namespace) -> None:
    _say(str(build(arguments.dir)))


def _create(arguments: argparse.Namespace) -> None:
    host = create_directory(arguments.dir, arguments.gpus)
    _say(f"{len(host.gpus)} simulated GPUs in {arguments.dir}; a reader sees them with")
    _say(f"  {LIBRARY_PATH_VARIABLE}={arguments.dir} {STATE_VARIABLE}={arguments.dir / STATE}")


def _show(arguments: argparse.Namespace) -> None:
    host = open_directory(arguments.dir)
    rows = _rows(host)
    if arguments.json:
        _say(json.dumps({"driver_version": host.words.driver_version.decode(), "gpus": rows}, indent=1))
        return
    _say(f"{arguments.dir}: driver {host.words.driver_version.decode()}, rebooted {host.words.boots} times")
    for row in rows:
        _say(
            f"{row['gpu']:>3}  {row['name']}  {row['uuid']}  {row['temperature_c']} °C  {row['power_w']:.0f} W  "
            f"error {row['error']}  hang {row['hang']}  recovery action {row['recovery_action']}"
        )


def _rows(host: SimulatedHost) -> list[dict[str, object]]:
    return [
        {
            "gpu": index,
            "name": gpu.name.decode(),
            "uuid": gpu.uuid.decode(),
            "temperature_c": gpu.temperature_c,
            "power_w": gpu.power_mw / 1000,
            "error": gpu.error,
            "hang": Hang(gpu.hang).name.lower(),
            "recovery_action": gpu.recovery_action,
        }
        for index, gpu in enumerate(host.gpus)
    ]


def _fault(arguments: argparse.Namespace) -> None:
    _say(inject(open_directory(arguments.dir), arguments.gpu, parse_fault(arguments.fault)))


def _heal(arguments: argparse.Namespace) -> None:
    host = open_directory(arguments.dir)
    chosen = range(len(host.gpus)) if arguments.gpu is None else (arguments.gpu,)
    for gpu in chosen:
        heal(host, gpu)
    _say(f"healed {len(chosen)} simulated GPUs")


def _play(arguments: argparse.Namespace) -> None:
    with arguments.script.open(encoding="utf-8") as file:
        text = file.read(SCRIPT_CHARS_MAX + 1)
    if len(text) > SCRIPT_CHARS_MAX:
        msg = f"{arguments.script}: longer than {SCRIPT_CHARS_MAX} characters"
        raise ScriptError(msg)
    asyncio.run(play(parse_script(text), open_directory(arguments.dir), SystemClock(), _say))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _tell(error: Exception, code: int) -> int:
    sys.stderr.write(f"simulated GPUs: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
