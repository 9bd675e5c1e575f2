"""An edge that forwards new calls to the worker that the caller names, and does nothing else."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_HOST = "127.0.0.1"
_CALL_ID = re.compile(rb"^Call-ID: *(\S+)", re.MULTILINE | re.IGNORECASE)


@contextmanager
def forwarding_edge(port: int, key: str) -> Iterator[None]:
    """Forward until the block is left; callers call `sip:WORKER_PORT@127.0.0.1:port`.

    It records no route: what the worker sends within the call reaches the caller directly.

    Args:
        port: to listen on.
        key: `edge.key`.
    """
    word_key = hashlib.sha256(f"{key} word".encode()).hexdigest()
    callers: dict[bytes, tuple[str, int]] = {}
    workers: dict[bytes, int] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as edge:
        edge.bind((_HOST, port))

        def forward() -> None:
            while True:
                message, source = edge.recvfrom(65535)
                if message == b"stop":
                    return
                found = _CALL_ID.search(message)
                if found is None:
                    continue
                if message.startswith(b"SIP/2.0 "):
                    edge.sendto(message, callers[found[1]])
                    continue
                line, rest = message.split(b"\r\n", 1)
                if found[1] not in workers:
                    callers[found[1]] = source
                    workers[found[1]] = int(line.split(b"sip:")[1].split(b"@")[0])
                if line.startswith(b"INVITE"):
                    told = f"{source[0]}:{source[1]}"
                    proved = f"{word_key} {found[1].decode()} {told}  "  # no trunk; trusted
                    word = hashlib.sha256(proved.encode()).hexdigest()
                    said = f"X-Gateway-Source: {told}\r\nX-Gateway-Word: {word}".encode()
                    message = b"\r\n".join([line, said, rest])
                edge.sendto(message, (_HOST, workers[found[1]]))

        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        try:
            yield
        finally:
            edge.sendto(b"stop", (_HOST, port))
            thread.join(10)
