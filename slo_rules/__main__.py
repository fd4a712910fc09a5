"""`python -m slo_rules`: compile, check, test, export SLO files, and print templates to begin with."""

import argparse
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

from contracts.vocabulary import Region
from slo_rules.check import check_set
from slo_rules.compiler import compile_slos
from slo_rules.errors import SloError
from slo_rules.load import default_paths, load_set
from slo_rules.load_templates import template_names, template_summary, template_text
from slo_rules.openslo.documents import DocumentSet
from slo_rules.openslo.export import export
from slo_rules.render import render_rules
from slo_rules.rule_tests.suite import SUFFIX, rule_test_files

GOLDEN = Path(__file__).parent / "generated" / "rules.yml"
GOLDEN_REGIONS = (Region("eu-west"), Region("us-east"))
"""The regions of the embedded stack."""
ANY_DAY = date(2024, 1, 1)
"""No document is at fault because of the day on which it is checked."""
EXAMPLES = """examples:
  python -m slo_rules templates                       # what there is
  python -m slo_rules templates vllm-latency > my-slos.yaml
  python -m slo_rules check my-slos.yaml              # every fault, with its place and the fix
  python -m slo_rules compile my-slos.yaml --region eu-west --region us-east --output rules.yml
  python -m slo_rules compile monthly.yaml --region eu-west --today 2026-08-01
  python -m slo_rules tests my-slos.yaml --output build && promtool test rules build/*_test.yml
  python -m slo_rules export my-slos.yaml             # the same SLOs in canonical form
  python -m slo_rules compile --golden                # rewrite slo_rules/generated/rules.yml

exit status: 0 done, 1 an SLO is at fault or a file cannot be written (stderr says which, where, and the fix), 2 wrong usage
"""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 an SLO is at fault (stderr says which and how to mend it), 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], None] = arguments.run
    try:
        run(arguments)
    except (SloError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _check(arguments: argparse.Namespace) -> None:
    paths, documents = _loaded(arguments)
    compile_slos(documents.slos, (), arguments.today or ANY_DAY)
    for notice in documents.notices:
        sys.stderr.write(f"note: {notice}\n")
    sys.stdout.write(f"{len(documents.slos)} SLOs in {len(paths)} files can be compiled\n")


def _compile(arguments: argparse.Namespace) -> None:
    _, documents = _loaded(arguments)
    text = render_rules(compile_slos(documents.slos, _regions(arguments), arguments.today))
    output: Path | None = GOLDEN if arguments.golden else arguments.output
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _tests(arguments: argparse.Namespace) -> None:
    """One folder with the rules and everything promtool needs to judge them."""
    _, documents = _loaded(arguments)
    folder: Path = arguments.output
    files = rule_test_files(documents.slos, _regions(arguments) or GOLDEN_REGIONS)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(files)} files written; now run: promtool test rules {folder}/*{SUFFIX}\n")


def _export(arguments: argparse.Namespace) -> None:
    _, documents = _loaded(arguments)
    sys.stdout.write(export(documents.slos))


def _templates(arguments: argparse.Namespace) -> None:
    if arguments.name is not None:
        sys.stdout.write(template_text(arguments.name))
        return
    for name in template_names():
        sys.stdout.write(f"{name:24} {template_summary(name)}\n")


def _loaded(arguments: argparse.Namespace) -> tuple[tuple[Path, ...], DocumentSet]:
    """The files and what they say, which can be compiled."""
    paths = tuple(arguments.files) or default_paths()
    documents = load_set(paths)
    check_set(documents)
    return paths, documents


def _regions(arguments: argparse.Namespace) -> tuple[Region, ...]:
    return GOLDEN_REGIONS if arguments.golden else tuple(Region(name) for name in arguments.region or ())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m slo_rules",
        description="Compile OpenSLO v1 documents to Prometheus rules. docs/slos.md explains the documents.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(golden=False)
    commands = parser.add_subparsers(dest="command", required=True)
    compiling = commands.add_parser("compile", help="write the rules, to stdout unless --output is given")
    compiling.set_defaults(run=_compile)
    compiling.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to stdout")
    compiling.add_argument("--golden", action="store_true", help="rewrite the generated file of this repository")
    checking = commands.add_parser("check", help="say whether the SLOs can be compiled, and write nothing")
    checking.set_defaults(run=_check)
    testing = commands.add_parser("tests", help="write the rules and files for `promtool test rules` into a folder")
    testing.set_defaults(run=_tests)
    testing.add_argument("--output", type=Path, metavar="FOLDER", required=True, help="made when it is not there")
    exporting = commands.add_parser("export", help="write the SLOs as OpenSLO documents in canonical form, to stdout")
    exporting.set_defaults(run=_export)
    for command in (compiling, checking, testing, exporting):
        command.add_argument("files", nargs="*", type=Path, help="SLO files; default: the shipped objectives")
    for command in (compiling, testing):
        command.add_argument(
            "--region", action="append", metavar="NAME", help="a region expected to report; repeatable"
        )
    for command in (compiling, checking):
        command.add_argument("--today", type=date.fromisoformat, metavar="DATE", help="needed for calendar windows")
    templates = commands.add_parser("templates", help="list documents to begin with, or print one")
    templates.set_defaults(run=_templates)
    templates.add_argument("name", nargs="?", help="of a template, e.g. vllm-latency")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
