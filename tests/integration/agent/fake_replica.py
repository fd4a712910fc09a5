"""A replica without a voice: the control surface of `python -m serving`, and faults on request. Standard library only, so
that it starts in 0.1 s and runs in a container that has nothing but Python.

    fake_replica.py [--boot-s S] [--drain-s S] [--crash-after-s S] [--speaks] [spare]

`POST /fault` takes a JSON object of attributes of `Replica` to set, e.g. {"livez_delay_s": 0.4, "in_flight": 2}.
"""

import argparse
import asyncio
import json
import os
import signal
import struct
import sys
import time

IDENTITY = ("replica", "region", "host_id", "address", "port", "profile")


class Replica:
    def __init__(self, identity, options):
        self.identity = identity
        self.options = options
        self.profile = identity["profile"]
        self.born_s = time.monotonic()
        self.in_flight = 0
        self.progressing = True
        self.progress_total = 0
        self.ready = True
        self.livez_delay_s = 0.0
        self.slo_revision = 0
        self.refuse_profile = False
        self.draining = False
        self.answering = 0
        self.ballast = b""
        self.mute = False

    def status(self):
        if self.in_flight and self.progressing:
            self.progress_total += 1
        return {
            "replica": self.identity["replica"],
            "ready": self.ready and not self.draining,
            "reason": "" if self.ready else "told to be unready",
            "profile": self.profile,
            "profiles": ["full-fp32-onnx", "light-int8-onnx"],
            "profile_generation": 1,
            "progress_total": self.progress_total,
            "in_flight": self.in_flight,
            "queued_s": 0.0,
            "uptime_s": time.monotonic() - self.born_s,
            "slo_revision": self.slo_revision,
            "draining": self.draining,
        }

    async def answer(self, method, path, body):  # noqa: PLR0911  # one line per path
        if (method, path) == ("GET", "/livez"):
            await asyncio.sleep(self.livez_delay_s)
            return 200, self.status()
        if (method, path) == ("PUT", "/v1/control/slos"):
            self.slo_revision = body["revision"]
            return 200, {}
        if (method, path) == ("POST", "/v1/control/profile"):
            outcome = "rolled_back" if self.refuse_profile else "committed"
            self.profile = self.profile if self.refuse_profile else body["profile"]
            return 200, {"profile": self.profile, "generation": 2, "outcome": outcome, "detail": "self-test"}
        if (method, path) == ("POST", "/v1/audio/speech") and self.options.speaks:
            return 200, sound(0 if self.mute else 8000)
        if (method, path) == ("POST", "/fault"):
            for name, value in body.items():
                setattr(self, name, value)
            return 200, {"pid": os.getpid()}
        if (method, path) == ("POST", "/eat"):  # until the kernel ends it, where memory is limited
            self.ballast = b"x" * (body["mib"] << 20)
            return 200, {}
        if (method, path) == ("GET", "/gpus"):
            return 200, {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")}
        if (method, path) == ("GET", "/slow"):  # work in flight: takes a second
            self.answering += 1
            await asyncio.sleep(1.0)
            self.answering -= 1
            return 200, {"pid": os.getpid()}
        return 404, {}

    async def serve_client(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                lengths = [int(line.split(":")[1]) for line in head[1:] if line.lower().startswith("content-length")]
                content = await reader.readexactly(lengths[0]) if lengths else b""
                status, answer = await self.answer(method, path, json.loads(content or b"null"))
                payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def sound(peak):
    """A second of 16-bit mono at 8 kHz."""
    pcm = struct.pack("<8000h", *([peak, -peak] * 4000))
    header = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVEfmt ", 16, 1, 1, 8000, 16000, 2, 16, b"data", len(pcm)
    )
    return header + pcm


async def serve(identity, options):
    replica = Replica(identity, options)
    print(f"serving as {identity['replica']}", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.start_server(replica.serve_client, identity["address"], int(identity["port"]))
    if options.crash_after_s is not None:
        await asyncio.sleep(options.crash_after_s)
        print("RuntimeError: told to crash", flush=True)
        os._exit(3)
    await stop.wait()
    replica.draining = True
    await asyncio.sleep(options.drain_s)
    while replica.answering:  # noqa: ASYNC110  # a fake of a few lines
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # the answer is on its way
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--boot-s", type=float, default=0.0)
    parser.add_argument("--drain-s", type=float, default=0.0)
    parser.add_argument("--crash-after-s", type=float)
    parser.add_argument("--speaks", action="store_true")
    parser.add_argument("mode", nargs="?")
    options = parser.parse_args()
    time.sleep(options.boot_s)
    if options.mode == "spare":
        print(f"pid {os.getpid()}\nspare ready", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        identity = json.loads(line)
    else:
        identity = {name: os.environ[f"TRIMTAB_SERVING_{name.upper()}"] for name in IDENTITY}
    if identity["profile"] == "stillborn":
        print("ValueError: no such profile", flush=True)
        os._exit(3)
    asyncio.run(serve(identity, options))


main()
