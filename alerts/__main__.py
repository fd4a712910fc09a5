"""`python -m alerts`: write the Alertmanager configuration and its templates."""

import argparse
import dataclasses
import sys
from pathlib import Path

from alerts.config import render_config, rendered_files
from alerts.errors import AlertmanagerSettingsError
from alerts.settings import AlertmanagerSettings, ControllerWebhook, Links
from alerts.values import EXAMPLE, load_values

GOLDEN = Path(__file__).parent / "generated"
EXAMPLES = """examples:
  python -m alerts render --webhook-url http://127.0.0.1:8080/api/v1/alerts       # to stdout: nobody but the controller
  python -m alerts render --webhook-url https://controller.example/api/v1/alerts \\
      --webhook-token-file /etc/alertmanager/webhook.token --dashboards https://grafana.example --output /etc/alertmanager
  python -m alerts render --values values.yaml --output /etc/alertmanager          # Slack, PagerDuty, mail, teams of regions
  cp alerts/example.yaml values.yaml                                               # every field of a values file
  python -m alerts render --golden          # rewrite alerts/generated from alerts/example.yaml
"""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a setting is at fault (stderr says which and how to mend it), 2 wrong usage."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.webhook_token_file is not None and arguments.webhook_url is None:
        parser.error("--webhook-token-file goes with --webhook-url; a values file says controller.token_file")
    try:
        settings = _settings(arguments)
    except AlertmanagerSettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    output = GOLDEN if arguments.golden else arguments.output
    if output is None:
        sys.stdout.write(render_config(settings))
        return 0
    for name, text in rendered_files(settings).items():
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return 0


def golden_settings() -> AlertmanagerSettings:
    """Those of the example, which uses every field."""
    return load_values(EXAMPLE)


def _settings(arguments: argparse.Namespace) -> AlertmanagerSettings:
    if arguments.golden:
        return golden_settings()
    if arguments.values is not None:
        settings = load_values(arguments.values)
    else:
        settings = AlertmanagerSettings(ControllerWebhook(arguments.webhook_url, arguments.webhook_token_file))
    links = Links(
        dashboards=arguments.dashboards or settings.links.dashboards,
        runbooks=arguments.runbooks or settings.links.runbooks,
    )
    return dataclasses.replace(settings, links=links)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alerts", description="Alertmanager as code.")
    rendering = parser.add_subparsers(dest="command", required=True).add_parser(
        "render",
        help="write alertmanager.yml to stdout, or everything to --output",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    who = rendering.add_mutually_exclusive_group(required=True)
    who.add_argument("--values", type=Path, metavar="FILE", help="a values file, as alerts/example.yaml")
    who.add_argument("--webhook-url", metavar="URL", help="the controller's alert webhook, and nobody else")
    who.add_argument("--golden", action="store_true", help="rewrite the generated files of this repository")
    rendering.add_argument("--webhook-token-file", metavar="FILE", help="bearer token, as Alertmanager sees the path")
    rendering.add_argument("--dashboards", metavar="URL", help="what links to Grafana begin with")
    rendering.add_argument("--runbooks", metavar="URL", help="what stands before docs/runbooks/SLOBurn.md")
    rendering.add_argument("--output", type=Path, metavar="DIR", help="write alertmanager.yml and templates/ there")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
