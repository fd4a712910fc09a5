"""`trimtab`: reads the environment once and hands over to the commands."""

from chassis.logs import configure_logs
from chassis.settings import inherited_environment
from trimtab.cli.app import app
from trimtab.cli.errors import readable_errors
from trimtab.cli.options import Session


def main() -> None:
    """Entry point of the installed command."""
    configure_logs(
        process="trimtab", level="ERROR"
    )  # commands speak for themselves; only what they cannot say is logged
    with readable_errors():
        app(obj=Session(environment=inherited_environment()))


if __name__ == "__main__":
    main()
