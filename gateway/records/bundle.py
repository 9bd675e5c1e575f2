"""The bundle of one call while it grows.  A disk that fails never reaches the call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from gateway.records.files import AUDIO_FILE, EVENTS_FILE, EventLog, write_call
from gateway.records.ids import bundle_folder
from gateway.records.model import CallRecord, TurnRecord
from gateway.records.redaction import Redactor
from gateway.records.wav import StereoWavWriter
from gateway.records.withholding import STRUCTURE, Reason, Withholding

log = structlog.get_logger(__name__)

TURN_EVENT = "turn_finished"
"""Kind of the event that carries a whole `TurnRecord`; repair rebuilds the turns from these."""


class CallBundle:
    """Writes `call.json`, `events.jsonl` and `audio.wav` of one call.  Loop thread only.

    No method raises `OSError`: the first failure is logged, each is counted, and everything
    that follows is still tried.
    """

    def __init__(
        self,
        directory: Path,
        record: CallRecord,
        *,
        audio: bool = True,
        redactor: Redactor | None = None,
        withheld: Iterable[Reason] = (),
        on_error: Callable[[], None] = lambda: None,
        on_change: Callable[[str], None] = lambda _call_id: None,
        on_unwritten: Callable[[CallBundle], None] = lambda _bundle: None,
    ) -> None:
        """Make the folder and write `call.json` with state "active" at once.

        Args:
            directory: `records.directory`.
            record: what is known at the start.
            audio: keep `audio.wav`.
            redactor: every text goes through it before it is written.
            withheld: why nothing is recorded from the start.
            on_change: called with the call's id when `call.json` was written; may raise OSError.
            on_error: called for each part that could not be written.
            on_unwritten: called when the final `call.json` could not be written.
        """
        self.folder = bundle_folder(directory, record.call_id)
        self.errors = 0
        self.is_written = False
        """Whether the latest `call.json` is on disk."""
        self._record = record
        self._redactor = redactor
        self._withholding = Withholding(withheld)
        self._on_error = on_error
        self._on_change = on_change
        self._on_unwritten = on_unwritten
        self._events = EventLog(self.folder / EVENTS_FILE)
        self._audio = StereoWavWriter(self.folder / AUDIO_FILE) if audio else None
        self._is_finished = False
        self.update(record)

    @property
    def record(self) -> CallRecord:
        """What `call.json` holds."""
        return self._record

    @property
    def audio_s(self) -> float:
        """Audio time of this call: what `write_audio` has taken."""
        return self._audio.seconds if self._audio is not None else 0.0

    def write_audio(self, received: bytes, sent: bytes) -> None:
        """Append one tick: 160 samples from the caller (left), 160 to the caller (right).

        Writes about once a second (32 KB, under a millisecond on an idle disk).
        """
        if self._audio is not None and not self._is_finished:
            with self._trouble("audio"):
                if self._withholding.of_sound:
                    self._audio.skip()
                else:
                    self._audio.write(received, sent)

    def pause(self, reason: Reason, audio_s: float) -> None:
        """Record silence and no texts from now on.  Idempotent."""
        if self._withholding.begin(reason):
            self.event("recording_paused", audio_s, reason=reason)

    def resume(self, reason: Reason, audio_s: float) -> None:
        """Record again; texts from the end of the next whole turn on.  Idempotent."""
        if self._withholding.end(reason):
            self.event("recording_resumed", audio_s, reason=reason)

    def event(self, kind: str, audio_s: float, /, **data: Any) -> None:  # noqa: ANN401 - JSON
        """Append one event; `data` is anything JSON can hold, dataclasses and models too."""
        if self._is_finished:
            return
        if self._withholding.of_texts:
            if kind not in STRUCTURE:
                return
            data.pop("text", None)
        self._append(kind, audio_s, self._redactor.data(data) if self._redactor else data)

    def _append(self, kind: str, audio_s: float, data: dict[str, Any]) -> None:
        with self._trouble("events"):
            self._events.append(kind, audio_s, data)

    def turn(self, turn: TurnRecord, audio_s: float) -> TurnRecord:
        """Append a finished turn, so that it is not lost with the process.

        Returns:
            What may be kept of it, here and anywhere else.
        """
        kept = self._redactor.turn(turn) if self._redactor else turn
        if self._withholding.turn_finished(turn):
            kept = kept.without_texts()
        if not self._is_finished:
            self._append(TURN_EVENT, audio_s, {"turn": kept.model_dump()})
        return kept

    def update(self, record: CallRecord) -> None:
        """Replace `call.json` in mid-call (answered, codec known, routed)."""
        if self._is_finished:
            return
        self._record = record
        self._write()

    def finish(self, record: CallRecord) -> CallRecord:
        """Close everything and write the final `call.json`.  Idempotent; never awaits.

        Args:
            record: as `CallRecord.ended` gave it; audio length and errors are filled in.

        Returns:
            What was written.
        """
        if self._is_finished:
            return self._record
        if self._audio is not None:
            with self._trouble("audio"):
                self._audio.close()
        self._events.close()
        facts: dict[str, object] = {"records_errors": self.errors}
        facts["end_text"] = self._kept_end(record.end_text)
        if self._audio is not None and self._audio.has_file:
            facts["audio_s"] = round(self._audio.seconds, 3)
        self.update(record.model_copy(update=facts))
        self._is_finished = True
        if not self.is_written:
            self._on_unwritten(self)
        return self._record

    def retry(self) -> bool:
        """Try again to write a final `call.json` that the disk had refused; True once done."""
        if self._is_finished and not self.is_written:
            self._write()
        return self.is_written

    def _write(self) -> None:
        self.is_written = False
        with self._trouble("call"):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_call(self.folder, self._record)
            self.is_written = True
        with self._trouble("index"):
            self._on_change(self._record.call_id)

    def _kept_end(self, text: str) -> str:
        """The bot's reason for hanging up may quote the caller."""
        if self._withholding.of_texts:
            return ""
        return self._redactor.text(text) if self._redactor else text

    @contextmanager
    def _trouble(self, part: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.errors += 1
            self._on_error()
            if self.errors == 1:
                log.warning(
                    "record_not_written", part=part, folder=str(self.folder), problem=str(error)
                )
            if isinstance(error, FileNotFoundError):  # the folder is not there (any more)
                with suppress(OSError):
                    self.folder.mkdir(parents=True, exist_ok=True)
