"""`python -m grafana`: write the dashboard and what Grafana needs to find it."""

import argparse
import sys
from pathlib import Path

from grafana.dashboard import render_dashboard
from grafana.provisioning import GrafanaSettings, render_datasources, render_providers

GOLDEN = Path(__file__).parent / "generated"
GOLDEN_SETTINGS = GrafanaSettings(
    prometheus_url="http://127.0.0.1:9090", dashboards_dir="/var/lib/grafana/dashboards/trimtab"
)
EXAMPLES = """examples:
  python -m grafana render > fleet.json
  python -m grafana render --output DIR --prometheus-url http://prometheus:9090
  python -m grafana render --golden         # rewrite grafana/generated
"""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    output = GOLDEN if arguments.golden else arguments.output
    if output is None:
        sys.stdout.write(render_dashboard())
        return 0
    settings = (
        GOLDEN_SETTINGS if arguments.golden else GrafanaSettings(arguments.prometheus_url, arguments.dashboards_dir)
    )
    for name, text in rendered_files(settings).items():
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return 0


def rendered_files(settings: GrafanaSettings) -> dict[str, str]:
    """Every file by its path under the output folder."""
    return {
        "fleet.json": render_dashboard(),
        "provisioning/datasources/trimtab.yml": render_datasources(settings),
        "provisioning/dashboards/trimtab.yml": render_providers(settings),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grafana", description="Dashboards as code.")
    rendering = parser.add_subparsers(dest="command", required=True).add_parser(
        "render",
        help="write the dashboard to stdout, or everything to --output",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = rendering.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, metavar="DIR", help="write fleet.json and provisioning/ there")
    where.add_argument("--golden", action="store_true", help="rewrite the generated files of this repository")
    rendering.add_argument("--prometheus-url", default=GOLDEN_SETTINGS.prometheus_url, metavar="URL")
    rendering.add_argument(
        "--dashboards-dir",
        default=GOLDEN_SETTINGS.dashboards_dir,
        metavar="DIR",
        help="where Grafana finds fleet.json",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
