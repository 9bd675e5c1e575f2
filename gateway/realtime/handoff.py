"""Handoff: what goes with a TCP connection from the process that accepts it to the one that serves.

The accepting process reads the HTTP request, decides whether the client may have a session, and
passes the connection itself (SCM_RIGHTS): not a byte of audio goes through it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST_BYTES = 128 * 1024


def door_of(control: Path) -> Path:
    """Return where clients are passed to the worker that takes commands at this socket."""
    return control.with_name(control.name + ".door")


@dataclass(frozen=True, slots=True)
class Handoff:
    """A client that may have a session."""

    head: str
    """The HTTP request."""
    source: str
    """host:port of the client."""
    agent: str
    """Its name as the client has given it; empty = the default agent."""
    intent: str = ""
    """`transcription`, or nothing."""
    is_beta: bool = False
    """The client speaks the dialect from before August 2025."""
    settings: Mapping[str, Any] | None = None
    """Of its client secret."""

    def send(self, through: socket.socket, connection: int) -> None:
        """Pass the connection on.  Raises OSError: there is no process at the other end."""
        socket.send_fds(through, [json.dumps(asdict(self)).encode()], [connection])


def receive(through: socket.socket) -> tuple[Handoff, socket.socket] | None:
    """Return the next client; None = the other end is closed.

    Raises:
        OSError: nothing is there to be received.
        ValueError: it is no handoff.
    """
    message, files, _, _ = socket.recv_fds(through, MOST_BYTES, 4)
    sockets = [socket.socket(fileno=file) for file in files]
    if not message or len(sockets) != 1:
        for each in sockets:
            each.close()
        if not message:
            return None
        raise ValueError("a handoff has one connection")
    return Handoff(**json.loads(message)), sockets[0]
