"""Orders to agents: a book of what is open, what was delivered, and what became of it.

Agents dial us, so this driver sends nothing; the hub asks it what to answer. An order is repeated in every answer until its
receipt is final, because an answer can get lost after it was sent; the agent executes a key at most once.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, OrderKey, ReceiptStatus

FINAL = frozenset({ReceiptStatus.DONE, ReceiptStatus.FAILED, ReceiptStatus.REFUSED})
SETTLED_PER_HOST_MAX = 512
"""Keys remembered as journaled: twice what one sync can carry. An older one is simply journaled again, which changes nothing."""
RECEIPTS_PER_HOST_MAX = 512
"""Receipts that wait for the loop; when it is away longer the agents send them again."""


Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _HostBook:
    """One host's page."""

    orders: tuple[Order, ...] = ()
    receipts: OrderedDict[OrderKey, Receipt] = field(default_factory=OrderedDict)
    settled: OrderedDict[OrderKey, None] = field(default_factory=OrderedDict)


class AgentOrders:
    """`ports.ReplicaDriver` towards the loop, and a desk for the hub that talks to the agents."""

    def __init__(self) -> None:
        self._books: dict[HostId, _HostBook] = {}
        self._on_news: Callable[[HostId], None] = lambda _host: None

    def tell(self, on_news: Callable[[HostId], None]) -> None:
        """Call `on_news` with the host whose answer would now be different."""
        self._on_news = on_news

    # ── towards the loop ──────────────────────────────────────────────────────────────────────────────────────────────
    def offer(self, orders: tuple[tuple[HostId, Order], ...]) -> None:
        """Replace the open orders of every host."""
        wanted: dict[HostId, list[Order]] = {}
        for host, order in orders:
            wanted.setdefault(host, []).append(order)
        for host in wanted.keys() | self._books.keys():
            book = self._book(host)
            former, book.orders = book.orders, tuple(wanted.get(host, ()))
            if {order.key for order in book.orders} - {order.key for order in former}:
                self._on_news(host)

    def receipts(self) -> tuple[tuple[HostId, Receipt], ...]:
        """Everything that the loop has not settled, oldest first per host."""
        return tuple((host, receipt) for host, book in self._books.items() for receipt in book.receipts.values())

    def settle(self, keys: tuple[OrderKey, ...]) -> None:
        """Forget these; the final ones are acknowledged to their agents, a running one will be heard of again."""
        journaled = set(keys)
        for host, book in self._books.items():
            for key in [key for key in book.receipts if key in journaled]:
                receipt = book.receipts.pop(key)
                if receipt.status in FINAL:
                    _remember(book.settled, key, None, SETTLED_PER_HOST_MAX)
                    self._on_news(host)

    # ── towards the agents ────────────────────────────────────────────────────────────────────────────────────────────
    def take(self, host: HostId, receipts: Iterable[Receipt]) -> bool:
        """File receipts of one sync; true when one of them tells something new."""
        book = self._book(host)
        news = False
        for receipt in receipts:
            if receipt.key in book.settled or book.receipts.get(receipt.key) == receipt:
                continue
            _remember(book.receipts, receipt.key, receipt, RECEIPTS_PER_HOST_MAX)
            news = True
        return news

    def due(self, host: HostId) -> tuple[Order, ...]:
        """Open orders of a host that have no final receipt yet."""
        book = self._book(host)
        return tuple(order for order in book.orders if not self._is_answered(book, order.key))

    def acknowledged(self, host: HostId, receipts: Iterable[Receipt]) -> tuple[OrderKey, ...]:
        """Those of `receipts` that are journaled, so that the agent may forget them."""
        settled = self._book(host).settled
        return tuple(receipt.key for receipt in receipts if receipt.key in settled)

    def forget(self, host: HostId) -> None:
        """Drop the page of a host that is gone."""
        self._books.pop(host, None)

    def _book(self, host: HostId) -> _HostBook:
        return self._books.setdefault(host, _HostBook())

    @staticmethod
    def _is_answered(book: _HostBook, key: OrderKey) -> bool:
        receipt = book.receipts.get(key)
        return key in book.settled or (receipt is not None and receipt.status in FINAL)


def _remember(memory: OrderedDict[Key, Value], key: Key, value: Value, size_max: int) -> None:
    memory[key] = value
    while len(memory) > size_max:
        memory.popitem(last=False)
