"""`python -m controller`: read the settings once, set up logs, run."""

import asyncio
import sys

from chassis.auth import OpenListenerError
from chassis.logs import configure_logs
from chassis.settings import SettingsError, service_manager_environment
from controller.app import run
from controller.settings import ControllerSettings, read_policy


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings cannot be used."""
    try:
        settings = ControllerSettings.read()
        policy = read_policy(settings)
        configure_logs(process="controller", level=settings.log_level)
        asyncio.run(run(settings, policy, service_manager_environment()))
    except (SettingsError, OpenListenerError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
