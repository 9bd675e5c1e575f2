"""Own a recognizer process: start it, start it again when it dies or hangs."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from gateway.errors import ProviderError, ProviderUnavailable
from gateway.recognizer.client import RecognizerClient, Reply

log = structlog.get_logger(__name__)

_BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_S = 60.0
"""Lifetime after which a process is restarted without back-off."""
_STOP_S = 3.0
_ASK_EVERY_S = 5.0
_HUNG_AFTER_S = 20.0
"""Far more than a full queue takes on a busy machine."""


class RecognizerProcess:
    """`python -m gateway.recognizer`, alive from `__aenter__` to `__aexit__`.

    It ends by itself when this process is gone, and runs at a lower priority than the media clock.
    """

    def __init__(
        self,
        socket: Path | None = None,
        *,
        decoders: int = 1,
        niceness: int = 5,
        ready_timeout_s: float = 60.0,
        hung_after_s: float = _HUNG_AFTER_S,
    ) -> None:
        self._own_folder = (
            None if socket else tempfile.TemporaryDirectory(prefix="gateway-recognizer-")
        )
        self.socket = socket or Path(self._own_folder.name if self._own_folder else "") / "socket"
        self._decoders = decoders
        self._niceness = niceness
        self._ready_timeout_s = ready_timeout_s
        self._hung_after_s = hung_after_s
        self._process: Process | None = None
        self._tasks = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0
        """How often it had to be started again."""
        self.problem = ""
        """Why it is not running right now; empty while it is."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def __aenter__(self) -> Self:
        """Start and wait until it is ready.

        Raises:
            ProviderUnavailable: it ended (the message is its own), or was not ready in time.
        """
        try:
            self._process = await self._start()
        except BaseException:
            self._remove_folder()
            raise
        await self._tasks.__aenter__()
        self._keeper = self._tasks.create_task(self._keep_alive(self._process))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it (SIGTERM, then SIGKILL) and remove the socket."""
        if self._keeper is not None:
            self._keeper.cancel()
        await self._tasks.__aexit__(None, None, None)
        if self._process is not None:
            await _stop(self._process)
        self._remove_folder()

    async def _keep_alive(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started_s = loop.time()
            self.problem = await self._until_over(process)
            log.error("recognizer_lost", problem=self.problem)
            failures = 0 if loop.time() - started_s > _STEADY_S else failures
            process = await self._start_again(failures)
            failures += 1

    async def _until_over(self, process: Process) -> str:
        """Wait for its end; kill it when it hangs.  Tells what was wrong."""
        async with asyncio.TaskGroup() as tasks:
            end = tasks.create_task(process.wait())
            while not (await asyncio.wait([end], timeout=_ASK_EVERY_S))[0]:
                if not await self._answers() and not end.done():
                    process.kill()
                    await end
                    return f"the recognizer gave no answer for {self._hung_after_s:g} s"
        return f"the recognizer ended with status {end.result()}"

    async def _answers(self) -> bool:
        """Ask for next to nothing, by the way that every request takes."""
        client = RecognizerClient(self.socket)
        said: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def take(reply: Reply) -> None:
            if not said.done():
                said.set_result(reply)

        try:
            async with asyncio.timeout(self._hung_after_s):
                requests = await client.open_stream(self._hung_after_s)
                requests.decode(bytes(2), take, final=True, choices=("yes",))
                return not isinstance(await said, ProviderError)
        except (TimeoutError, ProviderError):
            return False
        finally:
            client.close()

    async def _start_again(self, failures: int) -> Process:
        while True:
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            try:
                process = await self._start()
            except ProviderUnavailable as exc:
                self.problem = exc.problem
                failures += 1
            else:
                self._process = process
                self.restarts += 1
                self.problem = ""
                return process

    async def _start(self) -> Process:
        self.socket.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *self._command(), stdin=PIPE, stdout=PIPE, env=_environment()
        )
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await _until_ready(process)
        except TimeoutError as exc:
            await _stop(process)
            problem = f"the recognizer was not ready within {self._ready_timeout_s:g} s"
            raise ProviderUnavailable("moonshine", problem) from exc
        except BaseException:
            await _stop(process)
            raise
        return process

    def _command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "gateway.recognizer", "--exit-with-parent"),
            *("--socket", str(self.socket)),
            *("--decoders", str(self._decoders)),
            *("--nice", str(self._niceness)),
        ]

    def _remove_folder(self) -> None:
        if self._own_folder is not None:
            self._own_folder.cleanup()


async def _until_ready(process: Process) -> None:
    """Read the one line it says: `ready`, or why not."""
    assert process.stdout is not None  # noqa: S101 - it was asked for with PIPE
    said = (await process.stdout.readline()).decode(errors="replace").strip()
    if said != "ready":
        why = said or f"it ended with status {await process.wait()}"
        raise ProviderUnavailable("moonshine", f"the recognizer did not start: {why}")


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _environment() -> dict[str, str]:
    """Return an environment in which the child finds this package, wherever it starts."""
    here = str(Path(__file__).parents[2])
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    }
