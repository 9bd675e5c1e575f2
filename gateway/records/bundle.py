"""The bundle of one call while it grows.  A disk that fails never reaches the call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from gateway.audio.format import ANALYSIS
from gateway.call.events import Event, RecordingPaused, RecordingResumed, TurnFinished, fields_of
from gateway.records.bundle_files import (
    AUDIO_FILE,
    EVENTS_FILE,
    EventLog,
    event_line,
    make_folder,
    write_call,
)
from gateway.records.ids import bundle_folder
from gateway.records.model import CallRecord, ToolUse, TurnRecord
from gateway.records.recording_pause import STRUCTURE, Reason, RecordingPause
from gateway.records.redaction import Redactor
from gateway.records.wav import StereoWavWriter, frames_in

log = structlog.get_logger(__name__)

_BATCH_FRAMES = 25
"""500 ms of sound are handed to the writer at once."""

Sound = tuple[bytes, bytes] | int
"""Frames of both directions, or how many are left silent."""


class Writer(Protocol):
    """Runs what touches the disk, in order."""

    @property
    def is_behind(self) -> bool:
        """True while the queue is too long for sound to be added."""

    def submit(self, job: Callable[[], None]) -> None:
        """Run a job, now or later."""

    async def settled(self, timeout_s: float) -> bool:
        """Wait until all jobs so far were run; False when that takes longer."""


class WriteAtOnce:
    """Runs every job on the spot."""

    is_behind = False

    def submit(self, job: Callable[[], None]) -> None:
        """Run it."""
        job()

    async def settled(self, timeout_s: float) -> bool:
        """Return at once: nothing waits."""
        return True


OnEvent = Callable[[str, str, float, dict[str, Any]], None]
"""Takes id of the call, kind, audio time and data of an event."""


class CallBundle:
    """Writes `call.json`, `events.jsonl` and `audio.wav` of one call.  Loop thread only.

    What touches the disk is left to a `Writer`: a disk that hangs must not stop the loop.
    No method raises `OSError`: the first failure is logged, each is counted, and everything
    that follows is still tried.
    """

    def __init__(  # noqa: PLR0913 (keyword only)
        self,
        directory: Path,
        record: CallRecord,
        *,
        audio: bool = True,
        writer: Writer | None = None,
        redactor: Redactor | None = None,
        withheld: Iterable[Reason] = (),
        on_error: Callable[[], None] = lambda: None,
        on_change: Callable[[str], None] = lambda _call_id: None,
        on_unwritten: Callable[[CallBundle], None] = lambda _bundle: None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Make the folder and write `call.json` with state "active" at once.

        Args:
            directory: `records.directory`.
            record: what is known at the start.
            audio: keep `audio.wav`.
            writer: runs what touches the disk; without one that is done at once.
            redactor: every text goes through it before it is written.
            withheld: why nothing is recorded from the start.
            on_change: called with the call's id when `call.json` was written; may raise OSError.
            on_error: called for each part that could not be written.
            on_unwritten: called when the final `call.json` could not be written.
            on_event: called with every event that is recorded, as it is recorded.
        """
        self.folder = bundle_folder(directory, record.call_id)
        self.errors = 0
        self.is_written = False
        """Whether the latest `call.json` is on disk."""
        self._record = record
        self._redactor = redactor
        self._recording_pause = RecordingPause(withheld)
        self._on_error = on_error
        self._on_change = on_change
        self._on_unwritten = on_unwritten
        self._on_event = on_event
        self._writer = writer or WriteAtOnce()
        self._waiting: list[Sound] = []
        """Not yet handed on."""
        self._waiting_frames = 0
        self._frame_count = 0
        self._has_sound = False
        self._events = EventLog(self.folder / EVENTS_FILE)
        self._audio = StereoWavWriter(self.folder / AUDIO_FILE) if audio else None
        self._is_finished = False
        self.update(record)

    @property
    def record(self) -> CallRecord:
        """The content of `call.json`."""
        return self._record

    @property
    def audio_s(self) -> float:
        """Audio time of this call: what `write_audio` has taken."""
        return self._frame_count * ANALYSIS.ptime_ms / 1000

    def write_audio(self, received: bytes, sent: bytes) -> None:
        """Append frames of 160 samples from the caller (left), as many to the caller (right).

        Writes about once a second (32 KB).
        """
        if self._audio is None or self._is_finished:
            return
        is_withheld = self._recording_pause.omits_sound
        self._has_sound = self._has_sound or not is_withheld
        frames = frames_in(received)
        self._frame_count += frames
        self._waiting_frames += frames
        self._waiting.append(frames if is_withheld else (received, sent))
        if self._waiting_frames >= _BATCH_FRAMES:
            self._hand_on_audio(self._audio)

    def _hand_on_audio(self, audio: StereoWavWriter) -> None:
        waiting, self._waiting = self._waiting, []
        frames, self._waiting_frames = self._waiting_frames, 0
        if self._writer.is_behind:
            waiting = [frames]
        self._writer.submit(partial(self._write_sounds, audio, waiting))

    def _write_sounds(self, audio: StereoWavWriter, sounds: list[Sound]) -> None:
        for sound in sounds:
            with self._trouble("audio"):
                if isinstance(sound, int):
                    audio.skip(sound)
                else:
                    audio.write(*sound)

    def pause(self, reason: Reason, audio_s: float) -> None:
        """Record silence and no texts from now on.  Idempotent."""
        if self._recording_pause.begin(reason):
            self.note(RecordingPaused(reason), audio_s)

    def resume(self, reason: Reason, audio_s: float) -> None:
        """Record again; texts from the end of the next whole turn on.  Idempotent."""
        if self._recording_pause.end(reason):
            self.note(RecordingResumed(reason), audio_s)

    def note(self, event: Event, audio_s: float) -> None:
        """Append one event."""
        self.event(event.kind, audio_s, **fields_of(event))

    def event(self, kind: str, audio_s: float, /, **data: Any) -> None:  # noqa: ANN401 - JSON
        """Append an event by the fields of its line: anything JSON can hold, dataclasses too."""
        if self._is_finished:
            return
        if self._recording_pause.omits_texts:
            if kind not in STRUCTURE:
                return
            data.pop("text", None)
        self._append(kind, audio_s, self._redactor.data(data) if self._redactor else data)

    def _append(self, kind: str, audio_s: float, data: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(self._record.call_id, kind, audio_s, data)
        line = event_line(kind, audio_s, data)
        self._writer.submit(partial(self._write_line, line))

    def _write_line(self, line: bytes) -> None:
        with self._trouble("events"):
            self._events.append(line)

    def turn(self, turn: TurnRecord, audio_s: float) -> TurnRecord:
        """Append a finished turn, so that it is not lost with the process.

        Returns:
            What may be kept of it, here and anywhere else.
        """
        kept = self._redactor.turn(turn) if self._redactor else turn
        if self._recording_pause.turn_finished(turn):
            kept = kept.without_texts()
        if not self._is_finished:
            self._append(TurnFinished.kind, audio_s, {"turn": kept.model_dump()})
        return kept

    def tool_uses(self, uses: Sequence[ToolUse]) -> tuple[ToolUse, ...]:
        """Return what may be kept of tools that are in the record of no turn."""
        if self._recording_pause.omits_texts:
            return ()
        return tuple(map(self._redactor.tool_use, uses) if self._redactor else uses)

    def update(self, record: CallRecord) -> None:
        """Replace `call.json` in mid-call (answered, codec known, routed)."""
        if self._is_finished:
            return
        self._record = record
        self._writer.submit(partial(self._write, record))

    def finish(self, record: CallRecord) -> CallRecord:
        """Close everything and write the final `call.json`.  Idempotent; never awaits.

        Args:
            record: as `CallRecord.ended` gave it; audio length and errors are filled in.

        Returns:
            What is written, but for errors that only writing it can bring.
        """
        if self._is_finished:
            return self._record
        self._is_finished = True
        if self._audio is not None:
            self._hand_on_audio(self._audio)
        facts: dict[str, object] = {"records_errors": self.errors}
        facts["end_text"] = self._kept_end(record.end_text)
        if self._has_sound:
            facts["audio_s"] = round(self.audio_s, 3)
        self._record = record.model_copy(update=facts)
        self._writer.submit(self._close)
        return self._record

    def retry(self) -> bool:
        """Try again to write a final `call.json` that the disk had refused; True once done.

        For the thread of the writer.
        """
        if self._is_finished and not self.is_written:
            self._write(self._record)
        return self.is_written

    def _close(self) -> None:
        if self._audio is not None:
            with self._trouble("audio"):
                self._audio.close()
        self._events.close()
        self._record = self._record.model_copy(update={"records_errors": self.errors})
        self._write(self._record)
        if not self.is_written:
            self._on_unwritten(self)

    def _write(self, record: CallRecord) -> None:
        self.is_written = False
        with self._trouble("call"):
            make_folder(self.folder)
            write_call(self.folder, record)
            self.is_written = True
        with self._trouble("index"):
            self._on_change(record.call_id)

    def _kept_end(self, text: str) -> str:
        """The bot's reason for hanging up may quote the caller."""
        if self._recording_pause.omits_texts:
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
