"""The Alertmanager configuration as a function of its settings: receivers, routes, inhibition, and the templates beside it.

The same settings always give the same bytes. Nothing here is secret: keys, passwords and tokens are named by their files.
"""

import yaml

from alerts.inhibition import inhibitions
from alerts.receivers import receivers_of, render_receivers, render_smtp
from alerts.routing import render_route, render_time_intervals
from alerts.settings import AlertmanagerSettings
from alerts.templating import template_files

HEADER = "# Rendered by `python -m alerts render`: edit its values, or alerts/*.py, instead.\n"
CONFIG_FILE = "alertmanager.yml"
TEMPLATES_DIR = "templates"


def rendered_files(settings: AlertmanagerSettings) -> dict[str, str]:
    """Every file by its path beside `alertmanager.yml`, which names the others relative to itself."""
    templates = template_files(settings.links)
    return {
        CONFIG_FILE: render_config(settings),
        **{f"{TEMPLATES_DIR}/{name}": text for name, text in templates.items()},
    }


def render_config(settings: AlertmanagerSettings) -> str:
    """A file that `amtool check-config` accepts."""
    receivers = receivers_of(settings)
    smtp = render_smtp(settings.smtp)
    intervals = render_time_intervals(settings.ticket_hours)
    document = {
        **({"global": smtp} if smtp else {}),
        "templates": [f"{TEMPLATES_DIR}/*.tmpl"],
        "route": render_route(settings, receivers),
        **({"time_intervals": intervals} if intervals else {}),
        "inhibit_rules": [inhibition.render() for inhibition in inhibitions()],
        "receivers": render_receivers(settings, receivers),
    }
    return HEADER + yaml.safe_dump(document, sort_keys=False, width=4_096, allow_unicode=True)
