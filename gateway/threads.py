"""THE border of threads and asyncio; the only file that may name threads.

Blocking engines run on the one thread of a `BlockingEngine`.  What passes between the media clock's
thread and the loop does so through `gateway.call.media`, which names no thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import ctypes
import gc
import os
import queue
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class BlockingEngine:
    """One owned thread for one blocking library object."""

    def __init__(self, name: str, nice: int = 0) -> None:
        """Make the thread with its first call.

        Args:
            name: of the thread.
            nice: by how much its priority is lower than that of the process (Linux only: elsewhere
                only whole processes have one).
        """
        self._executor = concurrent.futures.ThreadPoolExecutor(
            1, thread_name_prefix=name, initializer=_be_nice, initargs=(nice,)
        )

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` on the engine's thread; a cancelled await drops the result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    async def stream(
        self, produce: Callable[[Callable[[T], bool]], None]
    ) -> AsyncGenerator[T, None]:
        """Yield what `produce(emit)` emits on the engine's thread, as it comes.

        `emit` returns False once there is no listener; `produce` should then return at once.
        Errors of `produce` are raised here after everything that it emitted.
        """
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
        is_wanted = True

        def emit(item: T) -> bool:
            if is_wanted:
                loop.call_soon_threadsafe(arrived.put_nowait, (item,))
            return is_wanted

        work = loop.run_in_executor(self._executor, produce, emit)
        work.add_done_callback(lambda _: arrived.put_nowait(None))
        try:
            while (item := await arrived.get()) is not None:
                yield item[0]
            await work
        finally:
            is_wanted = False
            work.cancel()

    def close(self) -> None:
        """Join the thread; what it is doing is finished first."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class BlockingPool:
    """A few threads for calls that may hang; those are never waited for, at the end either."""

    def __init__(self, name: str, threads: int) -> None:
        """Make the threads with the first call.

        Args:
            name: of the threads.
            threads: how many calls are made at once; others wait.
        """
        self._name = name
        self._missing = threads
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` on one of the threads; a cancelled await drops it, or its result."""
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def job() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(function(*args, **kwargs))
            except BaseException as error:  # it is the caller's, whatever it is
                result.set_exception(error)
                if not isinstance(error, Exception):
                    raise

        self._jobs.put(job)
        while self._missing:
            self._missing -= 1
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return await asyncio.wrap_future(result)

    def _run(self) -> None:
        while True:
            self._jobs.get()()


class LoopThread:
    """An event loop on a thread of its own, for code that may block it.  Loop thread's view."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._asked_at = 0.0
        self._is_asked = False
        """The thread writes it, too."""

    async def run(self, name: str, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run a coroutine there; cancelling cancels it there and waits for nothing.

        Args:
            name: of its task, see `stalled`.
            make: calls the coroutine function, on that thread.
        """
        context = contextvars.copy_context()  # so that its log lines carry the call's id
        result: concurrent.futures.Future[T] = concurrent.futures.Future()
        started: list[asyncio.Task[None]] = []

        async def whole() -> None:
            try:
                result.set_result(await make())
            except BaseException as error:  # SystemExit would end the loop's thread
                if not result.cancelled():
                    is_own = isinstance(error, Exception)
                    result.set_exception(error if is_own else RuntimeError(repr(error)))
                if isinstance(error, asyncio.CancelledError):
                    raise

        def start() -> None:
            if not result.cancelled():
                started.append(context.run(self._loop.create_task, whole(), name=name))

        self._loop.call_soon_threadsafe(start)
        try:
            return await asyncio.wrap_future(result)
        finally:
            if not result.done() or result.cancelled():
                self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in started])

    def stalled_s(self) -> float:
        """Return for how long the loop has not turned, as seen by repeated calls."""
        now_s = time.monotonic()
        if self._is_asked:
            return now_s - self._asked_at
        self._is_asked, self._asked_at = True, now_s
        self._loop.call_soon_threadsafe(self._answer)
        return 0.0

    def culprit(self) -> tuple[str, str]:
        """Return which task blocks the loop, and the line of code where it is."""
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001  # as faulthandler
        while frame is not None and "/asyncio/" in frame.f_code.co_filename:
            frame = frame.f_back
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown"
        return task.get_name() if task else "", where

    def close(self) -> None:
        """End the thread when it has done what it is doing; waits for nothing."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _answer(self) -> None:
        self._is_asked = False

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=1))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


class BackgroundWriter:
    """One owned thread for writing that is never waited for: a disk that hangs stops no call."""

    BEHIND_JOBS = 2000
    """A bundle of 20 s and its events: what comes on top may be left out."""

    def __init__(self, name: str) -> None:
        self._executor = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=name)
        self._submitted = 0
        self._done = 0
        """The thread writes."""
        self._executor.submit(lambda: None)  # its thread starts now, not in a call

    @property
    def is_behind(self) -> bool:
        """True while the amount that waits to be written puts memory at risk."""
        return self._submitted - self._done > self.BEHIND_JOBS

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job after all before it.  It must not raise.  Loop thread only."""
        self._submitted += 1
        self._executor.submit(self._do, job)

    async def settled(self, timeout_s: float) -> bool:
        """Wait until all jobs so far were run; False when the disk takes longer than that."""
        last = asyncio.wrap_future(self._executor.submit(lambda: None))
        done, _ = await asyncio.wait([last], timeout=timeout_s)
        return bool(done)

    def close(self) -> None:
        """Run what waits, and end the thread."""
        self._executor.shutdown(wait=True)

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            self._done += 1


_attached: set[int] = set()


def stay_attached() -> None:
    """Have CPython keep what it knows of the calling thread, which it did not start itself.

    It else makes a thread state for each callback and frees it afterwards: a stretch of memory that
    is mapped and unmapped 250 times a second while all other threads of the process wait.  This
    is `PyGILState_Ensure` without its `Release`, once; it lasts until the thread ends.
    """
    ident = threading.get_ident()
    if ident not in _attached:
        _attached.add(ident)
        ctypes.pythonapi.PyGILState_Ensure()


def tune_interpreter() -> None:
    """Make CPython behave beside a 20 ms clock: short switch interval, collection only when told.

    Measured: at the default interval of 5 ms one busy thread halves the frame rate; at 0.5 ms the
    outbound jitter stays at p99 2.7 ms, at 0.1 ms at 1.2 ms.
    """
    sys.setswitchinterval(0.0002)
    gc.collect()
    gc.freeze()
    gc.disable()


def collect_between_calls() -> None:
    """Run the collector.  Loop thread only, when no call is in a delicate moment."""
    gc.collect()


def monotonic_ns() -> int:
    """The clock that ticks are stamped with."""
    return time.monotonic_ns()


def _be_nice(increment: int) -> None:
    if increment and sys.platform == "linux":
        thread = threading.get_native_id()  # Linux: a thread is what getpriority(2) calls a process
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, now + increment)
