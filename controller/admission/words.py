"""Tiers in words, so that whoever sets an objective reads what it will do to them."""

from decimal import Decimal

from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.tiers import Severity, Tier
from slo_rules.words.promise import promise_of, window_of

_TO_WHOM = {Severity.PAGE: "pages", Severity.TICKET: "opens a ticket"}


def promise_in_words(slo: Slo) -> str:
    """`95 % within 0.2 s (total), over 30d`."""
    share = promql.number(Decimal(str(slo.objective)) * 100)
    return f"{share} % {promise_of(slo)}, over {window_of(slo.window)}"


def tier_in_words(tier: Tier) -> str:
    """What makes the tier fire, and how soon at most."""
    whole_outage = promql.duration(max(60, int(tier.theta * tier.long_s)))
    return (
        f"tier {tier.number} {_TO_WHOM[tier.severity]} when more than {promql.number(tier.theta * 100)} % are bad over "
        f"{promql.duration(tier.long_s)} and still over {promql.duration(tier.short_s)}: after {whole_outage} of total outage"
    )
