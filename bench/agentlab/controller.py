"""A controller that holds polls, obeys nothing and orders nothing: what an agent talks to while it is measured."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class QuietServer(ThreadingHTTPServer):
    """A poll that the agent gave up is no trouble."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        return


class QuietController:
    """Answers every sync after the wait that it asks for, divided by `factor`."""

    def __init__(self, *, factor: float = 1.0) -> None:
        self.syncs = 0
        began_unix_s = time.time()
        controller = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(request.get("max_wait_s", 0.0) / factor)
                controller.syncs += 1
                server_unix_s = began_unix_s + (time.time() - began_unix_s) * factor
                body = json.dumps({"epoch": 1, "server_unix_s": server_unix_s}).encode()
                with_length = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
                try:
                    self.send_response(200)
                    for name, value in with_length:
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                return

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
