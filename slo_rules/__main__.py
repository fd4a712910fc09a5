"""`python -m slo_rules`: compile SLO files to Prometheus rules, or just check them."""

import argparse
import sys
from pathlib import Path

from contracts.vocabulary import Region
from slo_rules.compiler import compile_slos
from slo_rules.errors import SloError
from slo_rules.load import default_paths, load_files
from slo_rules.render import render_rules

GOLDEN = Path(__file__).parent / "generated" / "rules.yml"
GOLDEN_REGIONS = (Region("eu-west"), Region("us-east"))
"""The regions of the embedded stack."""
EXAMPLES = """examples:
  python -m slo_rules check my-slos.yaml
  python -m slo_rules compile my-slos.yaml --region eu-west --region us-east --output rules.yml
  python -m slo_rules compile --region eu-west | promtool check rules /dev/stdin
  python -m slo_rules compile --golden      # rewrite slo_rules/generated/rules.yml
"""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 an SLO is at fault (stderr says which and how to mend it), 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    paths = tuple(arguments.files) or default_paths()
    try:
        slos = load_files(paths)
        regions = GOLDEN_REGIONS if arguments.golden else tuple(Region(name) for name in arguments.region)
        text = render_rules(compile_slos(slos, regions))
    except SloError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.command == "check":
        sys.stdout.write(f"{len(slos)} SLOs in {len(paths)} files can be compiled\n")
    elif arguments.golden or arguments.output is not None:
        (GOLDEN if arguments.golden else arguments.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m slo_rules",
        description="Compile OpenSLO documents to Prometheus rules.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(golden=False, region=[], output=None)
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile", help="write the rules, to stdout unless --output is given")
    checking = commands.add_parser("check", help="say whether the SLOs can be compiled, and write nothing")
    for command in (compiling, checking):
        command.add_argument("files", nargs="*", type=Path, help="SLO files; default: the shipped objectives")
    compiling.add_argument("--region", action="append", metavar="NAME", help="a region expected to report; repeatable")
    compiling.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to stdout")
    compiling.add_argument("--golden", action="store_true", help="rewrite the generated file of this repository")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
