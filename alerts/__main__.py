"""`python -m alerts`: write the Alertmanager configuration."""

import argparse
import sys
from pathlib import Path

from alerts.config import AlertmanagerSettings, AlertmanagerSettingsError, render_config

GOLDEN = Path(__file__).parent / "generated" / "alertmanager.yml"
GOLDEN_SETTINGS = AlertmanagerSettings(
    webhook_url="http://127.0.0.1:8080/api/v1/alerts",
    webhook_token_file="/etc/alertmanager/webhook.token",  # noqa: S106  # a path, not a token
)
"""An example of a deployment; every real one renders its own."""
EXAMPLES = """examples:
  python -m alerts render --webhook-url http://127.0.0.1:8080/api/v1/alerts
  python -m alerts render --webhook-url https://controller.example/api/v1/alerts \\
      --webhook-token-file /etc/alertmanager/webhook.token --output alertmanager.yml
  python -m alerts render --golden          # rewrite alerts/generated/alertmanager.yml
"""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 a setting is at fault (stderr says which), 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        settings = (
            GOLDEN_SETTINGS
            if arguments.golden
            else AlertmanagerSettings(arguments.webhook_url, arguments.webhook_token_file)
        )
    except AlertmanagerSettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    output = GOLDEN if arguments.golden else arguments.output
    if output is None:
        sys.stdout.write(render_config(settings))
    else:
        output.write_text(render_config(settings), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alerts", description="Alertmanager as code.")
    rendering = parser.add_subparsers(dest="command", required=True).add_parser(
        "render",
        help="write alertmanager.yml, to stdout unless --output is given",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = rendering.add_mutually_exclusive_group(required=True)
    where.add_argument("--webhook-url", metavar="URL", help="the controller's alert webhook")
    where.add_argument("--golden", action="store_true", help="rewrite the generated file of this repository")
    rendering.add_argument("--webhook-token-file", metavar="FILE", help="bearer token, as Alertmanager sees the path")
    rendering.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to stdout")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
