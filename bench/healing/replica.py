"""A replica without a voice, inside a container: answers /tts after the time that speech takes. Standard library only.

A file of its own in /faults makes it end right after its start, as often as the file says: a crash loop.
"""

import asyncio
import json
import os
import signal
import uuid
from pathlib import Path

SPEECH_S = 0.04
SERVING = "TRIMTAB_SERVING_"
NAME, PORT = os.environ[SERVING + "REPLICA"], int(os.environ[SERVING + "PORT"])
PROFILE = os.environ.get(SERVING + "PROFILE", "full-fp32-onnx")
BORN = uuid.uuid4().hex


class Replica:
    def __init__(self) -> None:
        self.spoken = 0
        self.in_flight = 0
        self.slo_revision = 0
        self.ballast = b""

    def status(self) -> dict[str, object]:
        return {
            "replica": NAME,
            "ready": True,
            "reason": "",
            "profile": PROFILE,
            "profiles": [PROFILE],
            "profile_generation": 1,
            "progress_total": self.spoken,
            "in_flight": self.in_flight,
            "queued_s": 0.0,
            "uptime_s": 1.0,
            "slo_revision": self.slo_revision,
            "draining": False,
        }

    async def answer(self, path: str, body: bytes) -> dict[str, object]:
        if path == "/livez":
            return self.status()
        if path == "/tts":
            self.in_flight += 1
            await asyncio.sleep(SPEECH_S)
            self.in_flight -= 1
            self.spoken += 1
        if path == "/v1/control/slos":
            self.slo_revision = json.loads(body)["revision"]
        if path == "/eat":
            self.ballast = b"x" * (int(body) << 20)
        return {"born": BORN}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lengths = [int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")]
                body = await reader.readexactly(lengths[0]) if lengths else b""
                content = json.dumps(await self.answer(head.split(" ", 2)[1], body)).encode()
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def crash_if_told() -> None:
    told = Path("/faults") / NAME
    left = int(told.read_text()) if told.exists() else 0
    if left > 0:
        told.write_text(str(left - 1))
        print("RuntimeError: told to crash", flush=True)
        os._exit(3)


async def main() -> None:
    crash_if_told()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    server = await asyncio.start_server(Replica().serve, "127.0.0.1", PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
