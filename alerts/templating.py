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
    """Of an alert that has none, and without Grafana: its expression in Prometheus, as Prometheus itself links it."""
    expression = _link("", ".GeneratorURL")
    if base is None:
        return tuple(_define(f"{medium}dashboard", link) for medium, link in expression)
    of_alert = _link(base.rstrip("/"), ".Annotations.dashboard")
    return tuple(
        _define(f"{medium}dashboard", f"{{{{ if .Annotations.dashboard }}}}{link}{{{{ else }}}}{other}{{{{ end }}}}")
        for (medium, link), (_, other) in zip(of_alert, expression, strict=True)
    )


def _runbook(base: str | None) -> tuple[str, ...]:
    if base is not None:
        return tuple(
            _define(f"{medium}runbook", link) for medium, link in _link(f"{base.rstrip('/')}/", ".Annotations.runbook")
        )
    # A path leads nowhere from a mail: it is printed, not linked.
    (plain, path), (slack, escaped), (mail, _) = _link("", ".Annotations.runbook")
    return tuple(_define(f"{medium}runbook", text) for medium, text in ((plain, path), (slack, escaped), (mail, path)))


def _link(base: str, path: str) -> tuple[tuple[str, str], ...]:
    """For every medium its prefix and its link. `base` is a checked URL, or empty; `path` a field of the alert, escaped by
    the template engine for where it stands."""
    plain = f"{base}{{{{ {path} }}}}"
    slack = f'{base.replace("&", "&amp;")}{{{{ template "trimtab.slack.literal" {path} }}}}'
    return ("", plain), ("slack.", slack), ("email.", f'<a href="{plain}">{plain}</a>')


def _define(name: str, body: str) -> str:
    return f'{{{{- define "trimtab.{name}" -}}}}{body}{{{{- end -}}}}'
