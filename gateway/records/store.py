"""All call bundles of one process: opens them, and records refused calls within reason."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from gateway.allowance import Allowance
from gateway.call.events import CallRefused
from gateway.errors import ConfigError, Problem
from gateway.records.bundle import CallBundle, OnEvent, WriteAtOnce, Writer
from gateway.records.ids import new_call_id
from gateway.records.local_bundles import PendingCalls
from gateway.records.model import CallRecord
from gateway.records.recording_pause import Reason
from gateway.records.redaction import Redactor
from gateway.telemetry.process import identify

log = structlog.get_logger(__name__)

REFUSALS_PER_MINUTE = 30
REFUSALS_PER_DAY = 2000
UNWRITTEN_KEPT = 1000
"""How many final records may wait in memory for a disk that is full."""


class CallRecords:
    """Where bundles are made.  One per worker process; loop thread only."""

    def __init__(
        self,
        directory: Path,
        *,
        audio: bool = True,
        host: str = "",
        writer: Writer | None = None,
        redactor: Redactor | None = None,
        on_error: Callable[[], None] = lambda: None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Prepare nothing yet: the disk is not touched before `prepare`.

        Args:
            directory: where the bundles go.
            audio: keep `audio.wav`.
            host: name of this gateway.
            writer: see `CallBundle`.
            redactor: see `CallBundle`.
            on_error: called for each part that could not be written.
            on_event: see `CallBundle`.
        """
        self._directory = directory
        self._audio = audio
        self._host = host
        self._writer = writer or WriteAtOnce()
        self._redactor = redactor
        self._pending = PendingCalls(directory, "index")
        self._on_error = on_error
        self._on_event = on_event
        self._per_minute = Allowance(REFUSALS_PER_MINUTE, 60.0)
        self._per_day = Allowance(REFUSALS_PER_DAY, 86_400.0)
        self._unwritten: deque[CallBundle] = deque(maxlen=UNWRITTEN_KEPT)
        self.unrecorded_refusals = 0
        """Refused calls that got no bundle because there were too many."""

    def prepare(self) -> None:
        """Make the directory and try to write in it.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            probe = self._directory / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
            probe.write_bytes(b"voice-gateway\n")
            probe.unlink()
        except OSError as error:
            text = f"cannot write call records into {self._directory}: {error.strerror or error}"
            problem = Problem("[records]", 0, "records.directory", text)
            raise ConfigError([problem]) from error

    def new_call_id(self) -> str:
        """Make the id of a call that starts now."""
        return new_call_id(datetime.now(UTC))

    def open(self, record: CallRecord, *, is_recorded: bool = True) -> CallBundle:
        """Start the bundle of a call; process id and host are filled in.  Never raises OSError.

        Args:
            record: what is known at the start.
            is_recorded: False = its agent is not recorded: keep neither sound nor texts.
        """
        started = record.model_copy(update={**_own_process(), "state": "active"})
        return self._bundle(started, audio=self._audio, withheld=() if is_recorded else ("agent",))

    def retry_unwritten(self) -> None:
        """Write final records that a full disk had refused; call it every few seconds."""
        self._writer.submit(self._retry)

    async def settled(self, timeout_s: float) -> bool:
        """Wait until what was recorded so far is on disk; False when that takes longer."""
        return await self._writer.settled(timeout_s)

    @property
    def unwritten(self) -> int:
        """Number of final records that wait for the disk."""
        return len(self._unwritten)

    def _retry(self) -> None:
        while self._unwritten and self._unwritten[0].retry():
            log.info("record_written_late", folder=str(self._unwritten.popleft().folder))

    def record_refusal(self, record: CallRecord, *, now_s: float, rule: str = "") -> bool:
        """Leave a bundle without audio for a call that was refused.

        Args:
            record: finished (`CallRecord.ended(now, "refused", rule, status)`).
            now_s: `loop.time()`.
            rule: that refused it, for the one event `call_refused`.

        Returns:
            False when there were too many lately (30 a minute, 2000 a day): only counted then.
        """
        if not (self._per_minute.has_one(now_s) and self._per_day.has_one(now_s)):
            self.unrecorded_refusals += 1
            if self.unrecorded_refusals % 1000 == 1:
                log.warning("refusals_not_recorded", total=self.unrecorded_refusals)
            return False
        self._per_minute.take()
        self._per_day.take()
        bundle = self._bundle(record, audio=False)
        bundle.note(CallRefused(record.end_text, record.sip_status, rule), 0.0)
        bundle.finish(record)
        return True

    def make_refusal(self, bundle: CallBundle, record: CallRecord, *, now_s: float) -> None:
        """Leave of a finished call no more than of a refused one.

        Calls that never get their ACK come by the thousand, and each has seconds of audio.
        """
        self._writer.submit(partial(self._remove, bundle.folder, record.call_id))
        self.record_refusal(record, now_s=now_s)

    def _remove(self, folder: Path, call_id: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            self._pending.put(call_id)

    def _bundle(
        self, record: CallRecord, *, audio: bool, withheld: tuple[Reason, ...] = ()
    ) -> CallBundle:
        return CallBundle(
            self._directory,
            record.model_copy(update={"host": self._host}),
            audio=audio,
            writer=self._writer,
            redactor=self._redactor,
            withheld=withheld,
            on_change=self._pending.put,
            on_error=self._on_error,
            on_unwritten=self._unwritten.append,
            on_event=self._on_event,
        )


def _own_process() -> dict[str, object]:
    try:
        own = identify()
    except OSError:  # no /proc: the lock on the events says that this process lives
        return {"worker_pid": os.getpid()}
    return {
        "worker_pid": own.pid,
        "worker_boot_id": own.boot_id,
        "worker_started_ticks": own.started_ticks,
    }
