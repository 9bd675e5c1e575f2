"""RealtimeLine: the leg of a session.  Its clock is the audio that the client appends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from gateway.audio.converter import Converter
from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.audio.framer import Framer
from gateway.call.inlet import FrameInlet
from gateway.call.line import (
    Answered,
    CallFacts,
    Capability,
    End,
    HungUp,
    LineEvent,
    MediaStatistics,
    TransferOutcome,
)
from gateway.call.media import FrameOutlet, Tick
from gateway.errors import SipError, TransferFailed
from gateway.realtime.clock import InputClock, OutputPace, Positions
from gateway.realtime.formats import line_format

_BURST_FRAMES = 25
"""Audio that came at once is heard in slices of 500 ms: other sessions wait for no more."""
_MOST_WAITING_FRAMES = 1500
"""30 s: with more the client is read no further until some was heard."""
_MOST_IN_FLIGHT = 50
_REST_AFTER_FRAMES = 100
"""2 s in which nothing happened."""


class Peer(Protocol):
    """The way to the client."""

    def close(self, code: int, reason: str) -> None:
        """Tell the client that the session is over, and why."""

    def read_on(self, *, may_read: bool) -> None:
        """Read what the client sends, or let it wait."""

    @property
    def sent_bytes(self) -> int:
        """How much was written."""


class RealtimeLine:
    """Satisfies `Line`.  Loop thread only."""

    on_hold = False
    is_untrusted = False
    transfer_outcome: TransferOutcome | None = None
    input_delay_ms = 0.0
    output_delay_ms = 0.0
    expected_codec = ""
    can: frozenset[Capability] = frozenset({"digits"})

    def __init__(self, facts: CallFacts, peer: Peer, lead_ms: int) -> None:
        """Begin a session.

        Args:
            facts: of the call.
            peer: the client.
            lead_ms: how far audio is sent ahead of real time.
        """
        self._loop = asyncio.get_running_loop()
        self.facts = facts
        self._peer = peer
        self.media_format: AudioFormat = NARROWBAND
        self.inlet = FrameInlet(self._loop)
        self.outlet = FrameOutlet()
        self.ended: HungUp | None = None
        self.sink: Callable[[bytes, int], None] = lambda _audio, _ms: None
        """Takes audio for the client, in its format, and its length in ms."""
        self.on_end: Callable[[End], None] = lambda _end: None
        """Told why the gateway ends the session, just before it does."""
        self.keeps_time: Callable[[], bool] = lambda: True
        """Whether something of the conversation waits for audio time to pass."""
        self.positions = Positions()
        self._received = self._sent = NARROWBAND
        self._clock = InputClock(self._loop.time())
        self._pace = OutputPace(lead_ms // NARROWBAND.ptime_ms)
        self._lead_frames = lead_ms // NARROWBAND.ptime_ms
        self._waiting: deque[bytes] = deque()
        self._in_flight: deque[bytes] = deque()
        """Sent, and not played by the client yet."""
        self._quiet_frames = 0
        self._is_up = False
        self._is_draining_burst = False
        self._bytes_in = self._frames_in = self._frames_out = 0
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue()
        self._framer = Framer(self.media_format.frame_bytes)
        self._inward: Converter | None = None
        self._outward: Converter | None = None

    # --- what the client does ---

    def use(self, received: AudioFormat, sent: AudioFormat, *, is_fixed: bool) -> None:
        """Exchange audio in these formats from now on.

        Args:
            received: what the client sends.
            sent: what it wants.
            is_fixed: the call goes on in the band that it has begun in.
        """
        self._received, self._sent = received, sent
        if not is_fixed:
            self.media_format = self.inlet.format = line_format(received, sent)
            self._framer = Framer(self.media_format.frame_bytes)
            self._in_flight.clear()
        self._inward = Converter(received, self.media_format)
        self._outward = Converter(self.media_format, sent)

    def hear(self, audio: bytes) -> float:
        """Take audio of the client; return its length in ms."""
        assert self._inward is not None  # noqa: S101 - `use` comes first
        seconds = self._received.seconds(audio)
        self._bytes_in += len(audio)
        self._clock.appended(seconds, self._loop.time())
        self._waiting.extend(self._framer.push(self._inward.process(audio)))
        if len(self._waiting) > _MOST_WAITING_FRAMES:
            self._peer.read_on(may_read=False)
        if not self._is_draining_burst:
            self._hear_waiting()
        return seconds * 1000

    def _hear_waiting(self) -> None:
        self._is_draining_burst = False
        if self.ended is not None or not self._is_up:
            return
        for _ in range(min(_BURST_FRAMES, len(self._waiting))):
            self._frames_in += 1
            self._tick(self._waiting.popleft(), of_client=True)
        if self._waiting:
            self._is_draining_burst = True
            self._loop.call_soon(self._hear_waiting)
        elif self._frames_in:
            self._peer.read_on(may_read=True)

    # --- the clock ---

    def beat(self) -> None:
        """Let 20 ms of real time pass: send what is due, hear silence where nothing comes."""
        if self.ended is not None or not self._is_up:
            return
        now_s = self._loop.time()
        self._send_due(now_s)
        if self._waiting:
            return
        if self._may_rest():
            self._clock.rest(now_s)
            return
        silence = bytes(self.media_format.frame_bytes)
        for _ in range(min(_BURST_FRAMES, self._clock.silent_frames(now_s))):
            self._tick(silence, of_client=False)

    def _may_rest(self) -> bool:
        if self.outlet.is_busy or self._in_flight or self.keeps_time():
            self._quiet_frames = 0
        return self._quiet_frames >= _REST_AFTER_FRAMES

    def _tick(self, received: bytes, *, of_client: bool) -> None:
        self._quiet_frames = 0 if of_client else self._quiet_frames + 1
        self.positions.tick(of_client=of_client)
        self._send_due(self._loop.time())
        sent = self._in_flight.popleft() if self._in_flight else bytes(len(received))
        self.inlet.put(Tick(received, sent, 0, has_media=True))

    def _send_due(self, now_s: float) -> None:
        room = self._lead_frames + _MOST_IN_FLIGHT - len(self._in_flight)
        audio = bytearray()
        count = 0
        for _ in range(min(self._pace.due(now_s), room)):
            frame = self.outlet.pull(self.media_format)
            if not self.outlet.is_sounding and not any(frame):
                self._pace.stopped(now_s)
                break
            self._pace.sent(now_s)
            self._in_flight.append(frame)
            audio += frame
            count += 1
        if count:
            assert self._outward is not None  # noqa: S101 - `use` comes first
            self._frames_out += count
            self.sink(self._outward.process(bytes(audio)), count * NARROWBAND.ptime_ms)

    def cut(self) -> None:
        """The client plays nothing more of what it was sent."""
        self._in_flight.clear()
        self._pace.cut()

    @property
    def is_playing(self) -> bool:
        """True while the client has not played all yet."""
        return self._pace.is_ahead(self._loop.time())

    # --- Line ---

    def statistics(self) -> MediaStatistics:
        """Return what was exchanged: a packet is a frame of 20 ms."""
        sent, received = self._sent, self._received
        codec = {"pcmu": "PCMU/8000", "pcma": "PCMA/8000"}.get(
            sent.encoding, f"L16/{sent.sample_rate_hz}"
        )
        del received
        return MediaStatistics(
            codec=codec, received_packets=self._frames_in, received_bytes=self._bytes_in,
            sent_packets=self._frames_out, sent_bytes=self._peer.sent_bytes,
            remote_address=self.facts.source, signalled_address=self.facts.source,
        )  # fmt: skip

    def signs_of_life(self) -> tuple[object, ...]:
        """A connection that is up is alive: its pings are answered."""
        return (self._loop.time(),)

    async def events(self) -> AsyncIterator[LineEvent]:
        """Yield what happens on the line; `HungUp` is the last."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, HungUp):
                return

    def ring(self) -> None:
        """A session does not ring."""

    async def answer(self) -> None:
        """Begin to exchange audio."""
        if not self._is_up:
            self._is_up = True
            self._clock.rest(self._loop.time())
            self._events.put_nowait(Answered())

    async def wait_answered(self, timeout_s: float) -> None:
        """No session is placed."""
        del timeout_s

    def disconnected(self, reason: str) -> None:
        """The client is gone."""
        self._end(HungUp("caller", 200, reason))

    async def hang_up(self, end: End) -> None:
        """End the session."""
        self.hang_up_nowait(end)

    def hang_up_nowait(self, end: End) -> None:
        """End the session, with a close code that says why."""
        if self.ended is None:
            self.on_end(end)
            self._end(HungUp("gateway", 200, end.text or end.reason))
            self._peer.close(*close_code(end))

    def _end(self, how: HungUp) -> None:
        if self.ended is None:
            self.ended = how
            self.inlet.close()
            self._events.put_nowait(how)

    async def transfer(self, target: str, timeout_s: float) -> None:
        """Raise TransferFailed: there is no telephone at the other end."""
        del target, timeout_s
        raise TransferFailed(501, "a realtime session cannot be transferred")

    async def send_digits(self, digits: str) -> None:
        """Raise SipError: the client has no keypad."""
        del digits
        raise SipError(501, "a realtime session takes no keys")


def close_code(end: End) -> tuple[int, str]:
    """Return the WebSocket close code (RFC 6455 section 7.4.1) and reason of an end.  Pure."""
    match end.reason:
        case "shutdown":
            return 1001, "the gateway is shutting down"
        case "crashed" | "failed":
            return 1011, "internal error"
        case "max_duration":
            return 1000, "session_expired"
        case _:
            return 1000, (end.text or end.reason)[:100]
