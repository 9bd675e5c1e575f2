"""In which order segments are decoded: finals first, one of each per stream, never too many."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.recognizer.grammar import GrammarName


@dataclass(frozen=True, slots=True)
class Job:
    """One segment that waits to be decoded."""

    peer: Hashable
    """Connection that asked."""
    id: int
    stream: int
    final: bool
    pcm: bytes = field(repr=False)
    choices: tuple[str, ...] = ()
    grammar: GrammarName | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A job that will not be decoded."""

    job: Job
    reason: Literal["replaced", "busy"]


class DecodeQueue:
    """Jobs that wait, and the one that runs.  No I/O."""

    def __init__(self, capacity: int = 32) -> None:
        self._capacity = capacity
        self._finals: deque[Job] = deque()
        self._partials: deque[Job] = deque()
        self._running: Job | None = None
        self._running_is_useless = False

    def __len__(self) -> int:
        return len(self._finals) + len(self._partials)

    def put(self, job: Job) -> list[Dropped]:
        """Queue a job; return those given up for it, itself included when there is no room."""
        dropped = self._drop_older(job)
        if not job.final and self._keeps_waiting(job):
            return [*dropped, Dropped(job, "busy")]
        if len(self) >= self._capacity:
            if not job.final or not self._partials:
                return [*dropped, Dropped(job, "busy")]
            dropped.append(Dropped(self._partials.popleft(), "busy"))
        (self._finals if job.final else self._partials).append(job)
        return dropped

    def start_next(self) -> Job | None:
        """Take the next job to decode; it is the running one until `finish`."""
        queue = self._finals or self._partials
        self._running = queue.popleft() if queue else None
        self._running_is_useless = False
        return self._running

    def finish(self) -> Job | None:
        """Say that the running job is done; give it, as it is wanted by now, if it still is."""
        done, self._running = self._running, None
        return None if self._running_is_useless else done

    def should_stop(self) -> bool:
        """True when the running job is in vain: cancelled, or a partial that delays a final."""
        running = self._running
        return self._running_is_useless or (
            running is not None and not running.final and bool(self._finals)
        )

    def cancel(self, peer: Hashable, stream: int | None = None) -> None:
        """Forget the jobs of a stream, or of all streams of a connection."""

        def keeps(job: Job) -> bool:
            return job.peer != peer or (stream is not None and job.stream != stream)

        self._finals = deque(filter(keeps, self._finals))
        self._partials = deque(filter(keeps, self._partials))
        if self._running is not None and not keeps(self._running):
            self._running_is_useless = True

    def goes_on(self, peer: Hashable, stream: int) -> list[Dropped]:
        """The caller speaks on: what waits is not worth its time, what runs is but a partial."""
        moot = [job for job in self._finals if (job.peer, job.stream) == (peer, stream)]
        for job in moot:
            self._finals.remove(job)
        running = self._running
        if running is not None and (running.peer, running.stream) == (peer, stream):
            self._running = replace(running, final=False)
        return [Dropped(job, "replaced") for job in moot]

    def _keeps_waiting(self, partial: Job) -> bool:
        """Whether others wait for their finals: a partial only saves its own some time."""
        wanted = [*self._finals, *([] if self._running_is_useless else [self._running])]
        return any(
            job is not None
            and job.final
            and (job.peer, job.stream) != (partial.peer, partial.stream)
            for job in wanted
        )

    def _drop_older(self, job: Job) -> list[Dropped]:
        """What waits for the same stream covers less; only what runs already is finished."""
        dropped = []
        for queue in (self._partials, self._finals) if job.final else (self._partials,):
            same = [old for old in queue if (old.peer, old.stream) == (job.peer, job.stream)]
            for old in same:
                queue.remove(old)
            dropped += [Dropped(old, "replaced") for old in same]
        return dropped
