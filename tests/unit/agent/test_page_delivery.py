"""How a page leaves the agent: rendered only so often, packed when asked, counted."""

import asyncio
import gzip

import pytest

from agent.pages.answers import GZIP_BYTES_MIN, Body, FreshPage, Response, accepts_gzip
from agent.pages.server import CONNECTIONS_MAX, PageServer, Traffic
from chassis.clock import ManualClock, SystemClock

LONG = "gpu_up 1\n" * GZIP_BYTES_MIN


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        (b"Accept-Encoding: gzip", True),
        (b"accept-encoding: deflate, gzip;q=0.5", True),
        (b"Accept-Encoding:gzip; q=1.0", True),
        (b"Accept-Encoding: br, GZIP", True),
        (b"Accept-Encoding: gzip;q=0", False),
        (b"Accept-Encoding: gzip; q=0.000", False),
        (b"Accept-Encoding: identity", False),
        (b"Accept-Encoding: notgzip", False),
        (b"X-Accept-Encoding: gzip", False),
        (b"Host: gzip", False),
    ],
)
def test_gzip_is_used_only_when_asked_for(headers, accepted):
    assert accepts_gzip(b"GET /metrics HTTP/1.1\r\n" + headers + b"\r\n\r\n") is accepted


def parts(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def test_a_long_page_is_packed_and_says_its_length():
    head, body = parts(Response(200, Body(LONG)).encoded(gzip_accepted=True))
    assert b"\r\nContent-Encoding: gzip" in head
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert gzip.decompress(body).decode() == LONG
    assert len(body) < len(LONG) / 10


@pytest.mark.parametrize(("text", "gzip_accepted"), [("alive\n", True), (LONG, False)])
def test_a_short_page_or_one_not_asked_for_packed_is_plain(text, gzip_accepted):
    head, body = parts(Response(200, text).encoded(gzip_accepted=gzip_accepted))
    assert b"Content-Encoding" not in head
    assert b"Vary: Accept-Encoding" in head
    assert body.decode() == text
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head


def test_a_body_is_packed_once_however_many_ask():
    body = Body(LONG)
    assert body.packed() is body.packed()


def test_a_page_is_rendered_again_only_when_it_is_too_old():
    clock, rendered = ManualClock(), []

    def render() -> str:
        rendered.append(clock.monotonic_s())
        return f"page {len(rendered)}\n"

    page = FreshPage(render, content_type="text/plain", age_s_max=0.2, clock=clock)
    first = page()
    clock.advance(0.19)
    assert page() is first
    clock.advance(0.02)
    assert page().body.plain == b"page 2\n"
    assert len(rendered) == 2


@pytest.fixture
async def served(free_port, wait_until_async):
    port, traffic = free_port(), Traffic()
    routes = {"/metrics": lambda: Response(200, LONG)}
    server = PageServer(address="127.0.0.1", port=port, routes=routes, traffic=traffic, clock=SystemClock())
    running = asyncio.ensure_future(server.run())
    await wait_until_async(lambda: server.listening, within_s=5, what="the server listens")
    yield port, traffic
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def get(port: int, page: str = "/metrics") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {page} HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_scrapes_are_counted_and_other_requests_are_not(served, wait_until_async):
    port, traffic = served
    assert gzip.decompress(parts(await get(port))[1]).decode() == LONG
    await get(port)
    await get(port, "/nothing")
    await wait_until_async(lambda: traffic.answer_s["/metrics"].count == 2, within_s=5, what="two scrapes counted")
    assert set(traffic.answer_s) == {"/metrics"}
    assert traffic.rejected_total == 0


async def test_a_connection_too_many_is_counted_as_rejected(served, wait_until_async):
    port, traffic = served
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
    try:
        assert (await get(port)).startswith(b"HTTP/1.1 503")
        await wait_until_async(lambda: traffic.rejected_total == 1, within_s=5, what="the rejection counted")
        assert "/metrics" not in traffic.answer_s
    finally:
        for _, writer in idle:
            writer.close()
