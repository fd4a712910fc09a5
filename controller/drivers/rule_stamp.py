"""A mark at the end of a rule file by which Prometheus itself says which text it runs.

Prometheus shows loaded rules in its own spelling, so their text cannot be compared with ours. But it loads a file as a whole
or not at all, and it shows labels unchanged: a last group that carries the digest of everything above it in a label is there
exactly when all of that is. As a series it also tells every dashboard the revision that is in force.
"""

import hashlib

from contracts.metric_names import LABEL_DIGEST, LABEL_REVISION, SLO_RULES_INFO

GROUP = "trimtab-rules"
DIGEST_CHARS = 32
"""128 bits: no two texts share it by chance."""


def stamped(rules: str, revision: int) -> str:
    """`rules`, which end inside their list of groups, with the mark as the last group."""
    return (
        f"{rules}- name: {GROUP}\n"
        "  interval: 1m\n"
        "  rules:\n"
        f"  - record: {SLO_RULES_INFO}\n"
        "    expr: vector(1)\n"
        "    labels:\n"
        f"      {LABEL_DIGEST}: '{digest_of(rules, revision)}'\n"
        f"      {LABEL_REVISION}: '{revision}'\n"
    )


def digest_of(rules: str, revision: int) -> str:
    """Of the text and of the revision that it carries."""
    return hashlib.sha256(f"{revision}\n{rules}".encode()).hexdigest()[:DIGEST_CHARS]
