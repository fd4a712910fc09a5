"""`trimtab`: reads the environment once and hands over to the commands."""

from chassis.settings import inherited_environment
from trimtab.cli.app import app
from trimtab.cli.options import CliContext


def main() -> None:
    """Entry point of the installed command."""
    app(obj=CliContext(environment=inherited_environment()))


if __name__ == "__main__":
    main()
