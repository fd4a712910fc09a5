"""How often was each order executed? Asked of the agents' own journals, not of the controller that might be wrong.

An agent writes a RUNNING receipt before every execution, durably. So the number of RUNNING lines of a key is the number of
times it was begun, whatever the controller or the agent's memory believe.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from contracts.agent_api import Receipt
from contracts.vocabulary import OrderKey, ReceiptStatus

JOURNALS = "agents/*/journal.jsonl"


def executions(home: Path) -> Counter[OrderKey]:
    """Order key → times it was begun, over all agents of the stack in `home`."""
    return count_executions(line for path in sorted(home.glob(JOURNALS)) for line in _lines(path))


def count_executions(lines: Iterable[str]) -> Counter[OrderKey]:
    """The same from the journals' lines; lines that are not receipts are skipped, a torn last one as well."""
    begun: Counter[OrderKey] = Counter()
    counted: dict[OrderKey, int] = {}
    for receipt in _receipts(lines):
        begun[receipt.key] += receipt.status is ReceiptStatus.RUNNING
        counted[receipt.key] = max(counted.get(receipt.key, 0), receipt.executions)
    return Counter({key: max(begun[key], count) for key, count in counted.items()})


def _receipts(lines: Iterable[str]) -> Iterator[Receipt]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("kind") == "receipt":
            yield Receipt.model_validate(entry["data"])


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
