"""`python -m serving`: run a replica, derive its voice, or wait warm as a spare.

Only this module reads the environment. Heavy imports happen inside the commands, so that `--help` is instant.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from pydantic import ValidationError

from chassis.logs import configure_logs, logger
from chassis.settings import SettingsError
from serving.ports import ServingError
from serving.settings import ReplicaIdentity, ServingSettings

EXIT_USAGE = 2
IDENTITY_BYTES_MAX = 4_096
RUN_EXAMPLES = """examples:
  python -m serving prepare --voice-dir /tmp/voice
  TRIMTAB_SERVING_VOICE_DIR=/tmp/voice python -m serving
  TRIMTAB_SERVING_ENGINE=simulated TRIMTAB_SERVING_PORT=8801 python -m serving

settings (TRIMTAB_SERVING_…):
  REPLICA REGION HOST_ID ADDRESS PORT PROFILE ENGINE VOICE_DIR WORKERS REDIS_URL
  FIRST_AUDIO_BUDGET_S TOTAL_BUDGET_S DRAIN_S_MAX LOG_LEVEL"""
PREPARE_EXAMPLES = """examples:
  python -m serving prepare --voice-dir /var/lib/trimtab/voice    derive what is missing (3 s), keep what is intact"""
SPARE_EXAMPLES = """examples:
  echo '{"replica": "a-0", "region": "eu", "host_id": "a", "address": "127.0.0.1", "port": 8800,
         "profile": "full-fp32-onnx"}' | tr -d '\\n' | python -m serving spare"""
log = logger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = ServingSettings.read()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    configure_logs(process="serving", level=settings.log_level)
    try:
        match arguments.command:
            case "prepare":
                return _prepare(arguments.voice_dir or settings.voice_dir)
            case "spare":
                return _spare(settings)
            case _:
                return _run(settings)
    except (ServingError, OSError) as error:
        log.error("replica_failed", error=str(error), cause=repr(error.__cause__))  # noqa: TRY400  # one line says it
        return 1


def _run(settings: ServingSettings) -> int:
    from serving import app  # noqa: PLC0415  # heavy: see the module's docstring

    asyncio.run(app.serve(settings, app.load(settings)))
    return 0


def _prepare(voice_dir: Path) -> int:
    from serving.prepare import prepare  # noqa: PLC0415  # needs onnx, which a replica does not

    derived = prepare(voice_dir)
    sys.stdout.write(f"{voice_dir}: {'derived' if derived else 'intact, nothing to do'}\n")
    return 0


def _spare(settings: ServingSettings) -> int:
    """Load everything, say so, and wait for an identity on standard input."""
    from serving import app  # noqa: PLC0415  # heavy: see the module's docstring

    loaded = app.load(settings)
    loaded.phonemizer.warm_up()
    sys.stdout.write("spare ready\n")
    sys.stdout.flush()
    line = sys.stdin.readline(IDENTITY_BYTES_MAX)
    if not line.strip():
        return 0
    try:
        identity = ReplicaIdentity.model_validate_json(line)
    except ValidationError as error:
        sys.stderr.write(f"not an identity: {error}\n")
        return EXIT_USAGE
    told = settings.become(identity)
    asyncio.run(app.serve(told, app.become(loaded, told)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Run one text-to-speech replica.",
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="[prepare | spare]")
    prepare = commands.add_parser(
        "prepare",
        help="derive the voice's artefacts",
        description="Derive the voice's artefacts: idempotent and atomic.",
        epilog=PREPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prepare.add_argument("--voice-dir", type=Path, help="where to put them (default: TRIMTAB_SERVING_VOICE_DIR)")
    commands.add_parser(
        "spare",
        help="load everything, then wait to be told who to be",
        description="Load everything, print 'spare ready', and become the replica named by one JSON line on stdin.",
        epilog=SPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
