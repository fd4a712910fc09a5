"""`python -m grafana`: write the dashboards and what Grafana needs to find them, or draw them without Grafana."""

import argparse
import sys
from pathlib import Path

from chassis.clock import SystemClock
from grafana.catalog import dashboards
from grafana.model import Dashboard
from grafana.pictures.album import Album
from grafana.pictures.camera import CameraError, find_camera
from grafana.pictures.source import PrometheusSource, SourceError
from grafana.provisioning import GrafanaSettings, render_datasources, render_providers
from grafana.render import file_name, render

GOLDEN = Path(__file__).parent / "generated"
GOLDEN_SETTINGS = GrafanaSettings(
    prometheus_url="http://127.0.0.1:9090", dashboards_dir="/var/lib/grafana/dashboards/trimtab"
)
UIDS = {dashboard.uid.value: dashboard for dashboard in dashboards()}
RANGE_S_DEFAULT = 1_800
RANGE_S_MIN = 60
EXAMPLES = """examples:
  python -m grafana render --dashboard trimtab-slo > slo.json
  python -m grafana render --output DIR --prometheus-url http://prometheus:9090
  python -m grafana render --golden         # rewrite grafana/generated
  python -m grafana draw --prometheus http://127.0.0.1:9490 --output pictures
"""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 Prometheus or the browser did not answer, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    return _draw(arguments) if arguments.command == "draw" else _render(arguments)


def rendered_files(settings: GrafanaSettings) -> dict[str, str]:
    """Every file by its path under the output folder."""
    return {
        **{file_name(dashboard): render(dashboard) for dashboard in dashboards()},
        "provisioning/datasources/trimtab.yml": render_datasources(settings),
        "provisioning/dashboards/trimtab.yml": render_providers(settings),
    }


def _render(arguments: argparse.Namespace) -> int:
    output = GOLDEN if arguments.golden else arguments.output
    if output is None:
        sys.stdout.write(render(UIDS[arguments.dashboard]))
        return 0
    settings = (
        GOLDEN_SETTINGS if arguments.golden else GrafanaSettings(arguments.prometheus_url, arguments.dashboards_dir)
    )
    for name, text in rendered_files(settings).items():
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return 0


def _draw(arguments: argparse.Namespace) -> int:
    chosen: tuple[Dashboard, ...] = (UIDS[arguments.dashboard],) if arguments.dashboard else dashboards()
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        with PrometheusSource(arguments.prometheus) as source:
            album = Album(
                source=source,
                camera=find_camera(),
                until_s=SystemClock().now_unix_s(),
                range_s=arguments.range_s,
            )
            for dashboard in chosen:
                sys.stdout.write(f"{album.keep(dashboard, arguments.output)}\n")
    except (SourceError, CameraError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m grafana",
        description="Dashboards as code.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_render(commands.add_parser("render", help="write one dashboard to stdout, or everything to --output"))
    _add_draw(commands.add_parser("draw", help="draw dashboards as pictures from a live Prometheus, without Grafana"))
    return parser


def _add_render(render_command: argparse.ArgumentParser) -> None:
    where = render_command.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, metavar="DIR", help="write every dashboard and provisioning/ there")
    where.add_argument("--golden", action="store_true", help="rewrite the generated files of this repository")
    where.add_argument(
        "--dashboard", choices=UIDS, default=next(iter(UIDS)), help="the one to write to stdout (default: %(default)s)"
    )
    render_command.add_argument("--prometheus-url", default=GOLDEN_SETTINGS.prometheus_url, metavar="URL")
    render_command.add_argument(
        "--dashboards-dir",
        default=GOLDEN_SETTINGS.dashboards_dir,
        metavar="DIR",
        help="where Grafana finds the JSON files",
    )


def _add_draw(draw_command: argparse.ArgumentParser) -> None:
    draw_command.add_argument("--prometheus", required=True, metavar="URL", help="e.g. http://127.0.0.1:9490")
    draw_command.add_argument("--output", type=Path, required=True, metavar="DIR")
    draw_command.add_argument("--dashboard", choices=UIDS, help="only this one")
    draw_command.add_argument(
        "--range-s", type=_range_s, default=RANGE_S_DEFAULT, metavar="SECONDS", help="up to now (default: %(default)s)"
    )


def _range_s(text: str) -> int:
    seconds = int(text)
    if seconds < RANGE_S_MIN:
        raise argparse.ArgumentTypeError(f"{seconds} is under {RANGE_S_MIN}")
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
