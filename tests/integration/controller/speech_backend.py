"""A replica as a gateway sees it: answers POST /tts after a while, and misbehaves when told to. Run: ADDRESS PORT NAME."""

import asyncio
import sys
from dataclasses import dataclass


@dataclass
class Mood:
    delay_s: float = 0.02
    status: int = 200
    ready: int = 200
    headers: str = ""


async def answer(name: str, mood: Mood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            length = next(
                (int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")), 0
            )
            await reader.readexactly(length)
            status, extra = 200, ""
            if path.startswith("/mood?"):
                for pair in path.removeprefix("/mood?").split("&"):
                    key, _, value = pair.partition("=")
                    kind = type(getattr(mood, key))
                    setattr(mood, key, kind(value.replace("%20", " ").replace("%0A", "\r\n")))
            elif path == "/readyz":
                status = mood.ready
            else:
                await asyncio.sleep(mood.delay_s)
                status, extra = mood.status, mood.headers
            body = f"{name}\n".encode()
            more = f"{extra}\r\n" if extra else ""
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(address: str, port: str, name: str) -> None:
    mood = Mood()
    server = await asyncio.start_server(lambda r, w: answer(name, mood, r, w), address, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
