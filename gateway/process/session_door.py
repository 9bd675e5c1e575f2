"""SessionDoor: passes clients of realtime sessions to the worker that has most room."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from gateway.http.realtime_door import Admitted, Outcome
from gateway.process.worker_process import WorkerProcess
from gateway.realtime.handoff import Handoff, door_of

log = structlog.get_logger(__name__)


class SessionDoor:
    """The ways to the workers of sessions.  Loop thread only."""

    def __init__(self, workers: Callable[[], Sequence[WorkerProcess]]) -> None:
        """Prepare.

        Args:
            workers: returns those of sessions that have not ended.
        """
        self._workers = workers
        self._sockets: dict[WorkerProcess, socket.socket] = {}
        self._passed: Counter[WorkerProcess] = Counter()
        """Since the latest heartbeat, which does not count them."""
        self._seen: dict[WorkerProcess, object] = {}

    def hand_over(self, client: Admitted, connection: int) -> Outcome:
        """Pass a connection on; the descriptor stays ours to close."""
        workers = [worker for worker in self._workers() if worker.state == "up"]
        self._forget_others(workers)
        handoff = Handoff(
            client.head, client.source, client.agent, client.intent, client.is_beta,
            client.settings,
        )  # fmt: skip
        for worker in sorted(workers, key=self._used):  # the worker knows whether it has room
            if self._pass(worker, handoff, connection):
                self._passed[worker] += 1
                return "passed"
        return "absent"

    def close(self) -> None:
        """Close the ways."""
        for each in self._sockets.values():
            each.close()

    def _used(self, worker: WorkerProcess) -> int:
        if self._seen.get(worker) is not worker.status:
            self._seen[worker] = worker.status
            self._passed[worker] = 0
        return worker.status.slots_used + self._passed[worker]

    def _pass(self, worker: WorkerProcess, handoff: Handoff, connection: int) -> bool:
        try:
            way = self._sockets.get(worker) or self._connect(worker)
            handoff.send(way, connection)
        except OSError as error:
            log.warning("session_not_passed", worker=worker.name, problem=str(error))
            with contextlib.suppress(KeyError):
                self._sockets.pop(worker).close()
            return False
        return True

    def _connect(self, worker: WorkerProcess) -> socket.socket:
        way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            way.setblocking(False)  # noqa: FBT003 - its only form
            way.connect(str(door_of(worker.socket)))
        except OSError:
            way.close()
            raise
        self._sockets[worker] = way
        return way

    def _forget_others(self, workers: Sequence[WorkerProcess]) -> None:
        for gone in [worker for worker in self._sockets if worker not in workers]:
            self._sockets.pop(gone).close()
            self._passed.pop(gone, None)
            self._seen.pop(gone, None)
