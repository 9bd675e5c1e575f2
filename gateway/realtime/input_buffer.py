"""InputBuffer: the caller's turns as the client sees them, by our turn taking or its own.  Pure."""

from __future__ import annotations

from gateway.providers.contracts import UserMessage
from gateway.realtime.history import History
from gateway.realtime.protocol import server_events as out
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.items import Item
from gateway.realtime.responses import NewId, Send

LEAST_MS = 100
"""A commit of less is an error, as at OpenAI."""


class InputBuffer:
    """What was appended and is not an item yet, and the turns that await their words."""

    def __init__(self, send: Send, new_id: NewId, history: History) -> None:
        self._send = send
        self._new_id = new_id
        self._history = history
        self.ms = 0.0
        """Audio since the latest commit or clear."""
        self._speech: str | None = None
        """Id of the item that the speech in progress will be."""
        self._awaiting: Item | None = None
        """Committed by the client; its words are not known yet."""
        self._began_ms = 0
        self.transcribes = False
        """The client wants to be told what was understood."""

    @property
    def is_speaking(self) -> bool:
        """True while the caller's turn is open, as far as the client knows."""
        return self._speech is not None

    # --- what the client does ---

    def appended(self, duration_ms: float) -> bool:
        """Count audio; True when it is the first of a turn."""
        is_first = self.ms == 0
        self.ms += duration_ms
        return is_first

    def commit(self) -> None:
        """Make an item of what was appended.

        Raises:
            ProtocolError: there is too little.
        """
        if self.ms < LEAST_MS:
            text = (
                "Error committing input audio buffer: buffer too small. Expected at least"
                f" {LEAST_MS}ms of audio, but buffer only has {self.ms:.2f}ms of audio."
            )
            raise ProtocolError(text, "input_audio_buffer_commit_empty")
        self._awaiting_is_over("")
        item = self._committed(self._speech or self._new_id("item"))
        self._awaiting, self._speech = item, None
        self.ms = 0

    def clear(self) -> None:
        """Forget what was appended."""
        self.ms, self._speech = 0, None
        self._send(out.cleared())

    # --- what turn taking finds ---

    def speech_started(self, at_ms: int) -> None:
        """The caller speaks."""
        if self._speech is None:
            self._speech = self._new_id("item")
            self._began_ms = at_ms
            self._send(out.speech_started(self._speech, at_ms))

    def turn_ended(self, text: str, end_ms: int) -> None:
        """The caller's turn is over, with these words."""
        if self._awaiting is not None:
            self._awaiting_is_over(text)
            return
        item_id, self._speech = self._speech or self._new_id("item"), None
        self._send(out.speech_stopped(item_id, end_ms))
        item = self._committed(item_id)
        self.ms = 0
        self._understood(item, text, max(0, end_ms - self._began_ms) / 1000)

    def turn_discarded(self, end_ms: int, problem: str = "") -> None:
        """It was no turn, or it could not be understood for this problem."""
        if self._awaiting is not None and problem and self.transcribes:
            item, self._awaiting = self._awaiting, None
            self._send(out.transcription_failed(item.id, problem))
        elif self._awaiting is not None:
            self._awaiting_is_over("")
        elif self._speech is not None:
            item_id, self._speech = self._speech, None
            self._send(out.speech_stopped(item_id, end_ms))
            self._send(out.cleared())
            self.ms = 0

    def silence(self, start_ms: int, end_ms: int) -> None:
        """The caller has said nothing for too long: the silence is an item."""
        item_id = self._new_id("item")
        self._send(out.timeout_triggered(item_id, start_ms, end_ms))
        self._committed(item_id)

    def _committed(self, item_id: str) -> Item:
        item = Item(item_id, "message", content=[{"type": "input_audio", "transcript": None}])
        self._send(out.committed(item_id, self._history.last_id))
        before = self._history.append(item)
        self._send(out.item_added(item.shown(), before))
        self._send(out.item_done(item.shown(), before))
        return item

    def _awaiting_is_over(self, text: str) -> None:
        item, self._awaiting = self._awaiting, None
        if item is not None:
            self._understood(item, text, 0.0)

    def _understood(self, item: Item, text: str, seconds: float) -> None:
        if text:
            item.messages = (UserMessage(text),)
        if self.transcribes:
            item.content[0]["transcript"] = text
            if text:
                self._send(out.transcription_delta(item.id, text))
            self._send(out.transcription_completed(item.id, text, seconds))
