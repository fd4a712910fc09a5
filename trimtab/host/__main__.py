"""`python -m trimtab.host render --golden`: rewrite what `deploy/` shows of an installation."""

import argparse
import sys
from pathlib import Path

from trimtab.host.artefacts import golden_files

GOLDEN = Path(__file__).resolve().parents[2] / "deploy"


def main(argv: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.host", description="Files of an installed host, as code.")
    rendering = parser.add_subparsers(dest="command", required=True).add_parser("render")
    rendering.add_argument("--golden", action="store_true", required=True, help="rewrite the files below deploy/")
    parser.parse_args(argv)
    for name, content in golden_files().items():
        path = GOLDEN / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
