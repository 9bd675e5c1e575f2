"""A web server on 127.0.0.1 that serves files as model hubs do, with faults.

Paths: `/NAME` serves a file with Range; `/cut/N/NAME` ends after N bytes of the first answer;
`/plain/NAME` knows no Range; `/to/NAME` redirects; `/loop` redirects to itself; `/broken` is HTTP
500.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class ModelServer:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.ranges: list[str] = []
        """Of the requests so far; empty = the whole file."""
        self.cut = True
        """`/cut/` cuts."""
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    served: ModelServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kind, _, name = self.path.strip("/").rpartition("/")
        if kind == "to" or name == "loop":
            self.send_response(302)
            self.send_header("Location", f"/{name}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name == "broken":
            self.send_error(500)
        elif name in self.served.files:
            self._serve(self.served.files[name], kind)
        else:
            self.send_error(404)

    def _serve(self, data: bytes, kind: str) -> None:
        wanted = self.headers.get("Range", "")
        self.served.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        if kind == "plain":
            start, wanted = 0, ""
        if wanted and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        rest = data[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if kind.startswith("cut") and self.served.cut:
            self.served.cut = False
            rest = rest[: int(kind.partition("/")[2])]
            self.close_connection = True
        self.wfile.write(rest)


@contextmanager
def model_server(files: dict[str, bytes]) -> Iterator[ModelServer]:
    """Serve until the end of the block."""
    served = ModelServer(files)
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
