"""A response to a request that was not read: out first, then the rest of the body is thrown away, within bounds."""

import pytest

from serving.problems import LINGER_BYTES_MAX, LingeringResponse


class Exchange:
    """The two ends of one ASGI exchange; `events` is what happened, in order."""

    def __init__(self, pieces: list[int]) -> None:
        self.pieces = list(pieces)
        self.events: list[str] = []

    async def receive(self) -> dict[str, object]:
        self.events.append("read")
        size = self.pieces.pop(0)
        return {"type": "http.request", "body": b"a" * size, "more_body": bool(self.pieces)}

    async def send(self, message: dict[str, object]) -> None:
        ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        self.events.append("end" if ended else str(message["type"]))


@pytest.mark.parametrize(
    ("pieces", "reads"),
    [([0], 1), ([10, 10, 10], 3), ([LINGER_BYTES_MAX, 1, 1], 1), ([LINGER_BYTES_MAX - 1, 1, 1], 2)],
)
async def test_the_answer_is_out_before_the_body_is_read_and_the_exchange_ends_after_it(pieces, reads):
    exchange = Exchange(pieces)
    await LingeringResponse("too much", 413)({}, exchange.receive, exchange.send)
    assert exchange.events == ["http.response.start", "http.response.body", *["read"] * reads, "end"]
