"""What the agent's pages answer, as bytes: whole, packed when asked for, and rendered only so often.

Prometheus always asks for gzip. Packing costs the agent as much as rendering, and saves nine tenths of what crosses the
network from every host at every scrape; a page that fits one packet is left as it is.
"""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chassis.clock import Clock

GZIP_BYTES_MIN = 1_400
"""A page that fits one packet is not made faster by packing it."""
GZIP_LEVEL = 1
"""The best level packs a metrics page a third smaller and takes ten times as long."""
PHRASES: Mapping[int, str] = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class Body:
    """A page's bytes, packed at most once."""

    __slots__ = ("_packed", "plain")

    def __init__(self, text: str) -> None:
        self.plain = text.encode()
        self._packed: bytes | None = None

    @property
    def worth_packing(self) -> bool:
        """It is longer than a packet."""
        return len(self.plain) >= GZIP_BYTES_MIN

    def packed(self) -> bytes:
        """With gzip."""
        if self._packed is None:
            self._packed = gzip.compress(self.plain, compresslevel=GZIP_LEVEL, mtime=0)
        return self._packed


@dataclass(frozen=True, slots=True)
class Response:
    """What a page answers."""

    status: int
    body: str | Body
    content_type: str = "text/plain; charset=utf-8"

    def encoded(self, *, gzip_accepted: bool) -> bytes:
        """The whole HTTP/1.1 answer; the connection ends with it."""
        body = self.body if isinstance(self.body, Body) else Body(self.body)
        packed = gzip_accepted and body.worth_packing
        content = body.packed() if packed else body.plain
        head = [
            f"HTTP/1.1 {self.status} {PHRASES[self.status]}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(content)}",
            *(["Content-Encoding: gzip"] if packed else []),
            "Vary: Accept-Encoding",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        ]
        return "\r\n".join([*head, "\r\n"]).encode("ascii") + content


class FreshPage:
    """A page that is rendered at most every `age_s_max` seconds, however many ask."""

    def __init__(self, render: Callable[[], str], *, content_type: str, age_s_max: float, clock: Clock) -> None:
        self._render = render
        self._content_type = content_type
        self._age_s_max = age_s_max
        self._clock = clock
        self._kept: tuple[float, Response] | None = None
        """(monotonic time of rendering, answer)."""

    def __call__(self) -> Response:
        """The page, young enough."""
        now_s = self._clock.monotonic_s()
        if self._kept is None or now_s - self._kept[0] >= self._age_s_max:
            self._kept = (now_s, Response(200, Body(self._render()), self._content_type))
        return self._kept[1]


def accepts_gzip(head: bytes) -> bool:
    """The request names gzip, and does not give it a quality of zero (RFC 9110, section 12.5.3)."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() != b"accept-encoding":
            continue
        for coding in value.lower().replace(b" ", b"").split(b","):
            word, _, quality = coding.partition(b";q=")
            if word == b"gzip":
                return not quality or quality.strip(b"0.") != b""
    return False
