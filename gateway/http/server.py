"""uvicorn inside a loop that is not its own: our signals, our shutdown, our log."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from gateway.config.models import HttpConfig
from gateway.errors import ConfigError, Problem
from gateway.http.connections import IDLE_S, guarded_protocol, room_for_connections
from gateway.http.realtime_door import RealtimeDoor, upgrade_protocol
from gateway.telemetry.loop_errors import BoundedLines, bound_loop_errors

_BACKLOG = 128
_ACCEPTED_AT_ONCE = 64
"""Of the waiting connections; for each that has no descriptor asyncio reports an error."""
_GRACE_S = 2
"""How long answers in progress may take when the server is told to end."""


class _Server(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def bind_http(config: HttpConfig) -> socket.socket:
    """Take the port, before anything else is started.

    Raises:
        ConfigError: the port is in use, or the address is not this machine's.
    """
    try:
        found = socket.getaddrinfo(config.bind, config.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_bind(config, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_bind(config, error) from error
    listener.setblocking(False)  # noqa: FBT003 - its only form
    return listener


async def serve(
    app: ASGIApp,
    config: HttpConfig,
    listener: socket.socket | None = None,
    door: RealtimeDoor | None = None,
) -> None:
    """Serve until cancelled; answers in progress get two seconds, then everything is closed.

    Args:
        app: from `create_app`.
        config: `[http]`.
        listener: from `bind_http`; bound here when not given.
        door: takes connections that ask for a WebSocket; None = there are none.

    Raises:
        ConfigError: the port cannot be had.
    """
    bound = bind_http(config) if listener is None else listener
    bound_loop_errors(asyncio.get_running_loop())
    logging.getLogger("uvicorn.error").filters[:] = [BoundedLines()]
    server = _Server(
        uvicorn.Config(
            app,
            http=guarded_protocol(room_for_connections()),
            loop="none",
            log_config=None,
            access_log=False,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_keep_alive=IDLE_S,
            proxy_headers=False,  # the peer's address must be the real one
            server_header=False,
            lifespan="off",
            ws=upgrade_protocol(door) if door is not None else "none",
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[bound]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
            bound.close()


def _cannot_bind(config: HttpConfig, error: OSError) -> ConfigError:
    where = f"{config.bind}:{config.port}"
    key = "http.port"
    if error.errno == errno.EADDRINUSE:
        text = f"{where} is in use by another program; stop it or choose another port"
    elif error.errno == errno.EACCES:
        text = f"{where} may not be bound by this user; choose a port above 1023"
    else:
        key, text = "http.bind", f"cannot listen on {where}: {error.strerror or error}"
    return ConfigError([Problem("[http]", 0, key, text)])
