"""Templates: the words of every notification, and the links in them.

The words are files in `alerts/templates`. Links depend on where dashboards and runbooks are served, so their templates are
rendered: one for each medium, because each has its own way to make a link and its own characters that end one.
"""

from pathlib import Path

from alerts.settings import Links

FOLDER = Path(__file__).parent / "templates"
LINKS_FILE = "links.tmpl"
_HEADER = "{{- /* Rendered by `python -m alerts render`: what links begin with stands in its values. */ -}}\n"


def template_files(links: Links) -> dict[str, str]:
    """Every template by its file name; the words are read from this package."""
    words = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.tmpl"))}
    return {**words, LINKS_FILE: render_links(links)}


def render_links(links: Links) -> str:
    """`trimtab.dashboard` and `trimtab.runbook`, for plain text, Slack and mail."""
    lines = (*_dashboard(links.dashboards), *_runbook(links.runbooks), "")
    return _HEADER + "\n".join(lines)


def _dashboard(base: str | None) -> tuple[str, ...]:
    if base is None:  # without Grafana: the alert's expression in Prometheus, as Prometheus itself links it
        return _link("dashboard", "", ".GeneratorURL")
    return _link("dashboard", base.rstrip("/"), ".Annotations.dashboard")


def _runbook(base: str | None) -> tuple[str, ...]:
    if base is None:  # a path leads nowhere from a mail: it is printed, not linked
        plain, slack, _ = _link("runbook", "", ".Annotations.runbook")
        return plain, slack, _define("email.runbook", "{{ .Annotations.runbook }}")
    return _link("runbook", f"{base.rstrip('/')}/", ".Annotations.runbook")


def _link(name: str, base: str, path: str) -> tuple[str, str, str]:
    """`base` is a checked URL, or empty; `path` a field of the alert, escaped for its medium by the template engine."""
    plain = f"{base}{{{{ {path} }}}}"
    slack = f'{base.replace("&", "&amp;")}{{{{ template "trimtab.slack.literal" {path} }}}}'
    return (
        _define(name, plain),
        _define(f"slack.{name}", slack),
        _define(f"email.{name}", f'<a href="{plain}">{plain}</a>'),
    )


def _define(name: str, body: str) -> str:
    return f'{{{{- define "trimtab.{name}" -}}}}{body}{{{{- end -}}}}'
