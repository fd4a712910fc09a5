"""Alertmanager's matchers, as text."""

import json
from collections.abc import Iterable

ALERTNAME = "alertname"


def equals(label: str, value: str) -> str:
    r"""`label="value"`. JSON's escapes are a subset of those that Alertmanager reads."""
    return f"{label}={json.dumps(value, ensure_ascii=False)}"


def one_of(label: str, values: Iterable[str]) -> str:
    """`label=~"a|b"`; the values are our own words, which mean nothing else in a regular expression."""
    return f"{label}=~{json.dumps('|'.join(values), ensure_ascii=False)}"


def present(label: str) -> str:
    """The alert has the label at all: Alertmanager takes two missing labels for equal ones."""
    return f'{label}!=""'
