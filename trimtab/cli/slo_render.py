"""Objectives and admission reports for the terminal."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from trimtab.slo_bodies import Admission, Finding, Report, Slo, SloList

STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
DAY_S = 86_400


def slos_table(slos: SloList) -> Table:
    """One row per objective."""
    table = Table("id", "objective", "promise", "window", "owner", title="objectives", title_justify="left")
    for slo in slos.items:
        table.add_row(slo.id, f"{slo.objective:.2%}", escape(slo.promise), window_text(slo), escape(slo.owner))
    return table


def progress_lines(slos: SloList) -> Iterable[str]:
    """How far the newest revision has got: Prometheus, then replicas."""
    rules = slos.rules
    loaded = "unknown" if rules.revision_loaded is None else rules.revision_loaded
    why = f": {escape(rules.why_not)}" if rules.why_not else ""
    yield f"revision {slos.revision}; Prometheus: {rules.state}, runs revision {loaded}{why}"
    for rule in rules.unhealthy:
        yield f"[bold red]rule fails[/] {rule.group}/{rule.rule}: {escape(rule.error)}"
    behind = sorted(name for name, revision in slos.replicas.items() if revision < slos.revision)
    if slos.replicas:
        told = f"behind: {', '.join(behind)}" if behind else "all count against it"
        yield f"replicas: {len(slos.replicas) - len(behind)} of {len(slos.replicas)} at revision {slos.revision}, {told}"


def window_text(slo: Slo) -> str:
    """`30 d`, or `month (Europe/Berlin)`."""
    if slo.window["kind"] == "rolling":
        return f"{slo.window['seconds'] / DAY_S:g} d"
    return f"{slo.window['unit']} ({slo.window['time_zone']})"


def slo_table(slo: Slo) -> Table:
    """Every field of one objective that says something."""
    table = Table("field", "value", title=slo.id, title_justify="left")
    for field, value in slo.model_dump(exclude={"id"}).items():
        if value not in (None, "", ()):
            table.add_row(field, escape(_in_words(value)))
    return table


def _in_words(value: object) -> str:
    """`kind: composite, parts: (slo: a, weight: 2.0; slo: b, weight: 1.0)`: values within values, without quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_in_words(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        return f"({'; '.join(_in_words(each) for each in value)})"
    return str(value)


def admission_lines(admission: Admission) -> Iterable[str]:
    """Every report, and what of the document is not used."""
    for report in admission.reports:
        yield from report_lines(report)
    for notice in admission.notices:
        yield finding_line(notice)


def report_lines(report: Report) -> Iterable[str]:
    """Promise, tiers, findings, cost and past."""
    mark = "[green]works[/]" if report.works else "[bold red]does not work as things are[/]"
    if report.cost is None:
        mark = "[yellow]can be compiled; nothing is known about its data[/]"
    yield f"[bold]{report.id}[/] {mark}: {escape(report.promise)}"
    yield from (f"  {escape(tier.words)}" for tier in report.tiers)
    if report.cost is not None:
        seen = f", regions {', '.join(report.regions_seen)}" if report.regions_seen else ""
        yield f"  reads {report.series} series{escape(seen)}"
        yield (
            f"  costs {report.cost.rules} rules, {report.cost.samples_per_evaluation:,} samples per evaluation "
            f"({report.cost.samples_per_s:g} per second)"
        )
    yield from _past_lines(report)
    yield from (finding_line(finding) for finding in report.findings)


def finding_line(finding: Finding) -> str:
    """Severity, code, field, problem and fix."""
    style = STYLES.get(finding.severity, "default")
    field = f" {finding.field}:" if finding.field else ""
    words = escape(f"{finding.code}{field} {finding.problem}. Fix: {finding.fix}.")
    return f"  [{style}]{finding.severity}[/] {words}"


def _past_lines(report: Report) -> Iterable[str]:
    past = report.past
    if past is None:
        return
    source = f" (estimated from {past.source})" if past.source else ""
    yield (
        f"  from {past.starts_at[:10]} to {past.ends_at[:10]}: {_count(past.pages, 'page')}, "
        f"{_count(past.tickets, 'ticket')}{escape(source)}"
    )
    for region in past.regions:
        share = f"{region.bad / region.events:.2%}" if region.events else "none"
        yield (
            f"    {escape(region.region or 'all')}: {region.budget_left:.1%} of the budget left, {share} of "
            f"{region.events:,.0f} bad, {region.coverage:.0%} covered, {_count(len(region.silences), 'silence')}"
        )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
