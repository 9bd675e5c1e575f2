"""TurnFigures: the times of one turn while they come in; at its end they make a TurnRecord."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.audio.format import ANALYSIS
from gateway.call.audibility import AudibilityMeter, FirstSound
from gateway.call.line import Line
from gateway.call.live_call import LiveCall
from gateway.records.model import FalseInterruption, ToolUse, TurnRecord
from gateway.turn.events import TurnEnded, milliseconds, samples

_PAUSE = samples(300)
"""Within speech a pause is shorter."""


@dataclass(slots=True)
class TurnFigures:
    """One caller turn and the bot's reply.  `*_s` are loop times, the rest is audio time."""

    index: int
    asked_s: float
    """When the reply was started."""
    asked_at: int
    turn: TurnEnded | None = None
    """The caller's turn; None for greetings, prompts and answers to a key, and for what was said
    into a reply that could not be interrupted: waiting for that is no response gap."""
    caller_text: str | None = None
    first_token_s: float | None = None
    first_sentence_s: float | None = None
    first_audio_s: float | None = None
    sent_s: Callable[[int], float] | None = None
    """Returns when the caller's audio up to a position was sent to the engine that answers; None =
    its time counts from `asked_s`."""
    engine_asked_s: float | None = None
    """When it had the caller's last sample."""
    engine_audio_s: float | None = None
    """When its first audio came."""
    queued_s: float | None = None
    """When the first frame was queued for RTP."""
    caller_end: int | None = None
    """The caller's last audible sample of that turn."""
    queued: FirstSound | None = None
    """From when the first frame was queued for RTP."""
    covered: FirstSound | None = None
    """From when a filler was said while the caller's words were still awaited."""
    generated: list[str] = field(default_factory=list)
    answered: FirstSound | None = None
    """From when the answer itself began, where a filler was said before."""
    fillers: list[str] = field(default_factory=list)
    filler_starts: list[int] = field(default_factory=list)
    """Audio time at which each of them began."""
    false_interruptions: list[FalseInterruption] = field(default_factory=list)
    speculative: bool = False
    reopened: bool = False
    is_again: bool = False
    """It goes on with an answer that was cut in error: how soon it came is in that one's record."""
    heard: str = ""
    interrupted: bool = False
    barge_in_onset: int | None = None
    barge_in_delay_ms: float = 0.0
    """`line_delay_ms` when the caller broke in."""
    tools: list[ToolUse] = field(default_factory=list)
    earlier_tools: list[ToolUse] = field(default_factory=list)
    """Of replies before it, whose outcome came since, or which were dropped."""
    agent: str = ""
    variant: str = ""
    error: str | None = None
    input_delay_ms: float = 0.0
    """How long ago what is heard was sent, when the caller's turn was over."""
    line_delay_ms: float = 0.0
    """The same, and how long it is until what is said is sent."""

    @classmethod
    def at(cls, call: LiveCall, turn: TurnEnded | None = None) -> TurnFigures:
        """Begin now."""
        began_s = asyncio.get_running_loop().time()
        return cls(0, began_s, call.audio.now, turn, agent=call.agent_name, variant=call.variant)

    def answers(self, turn: TurnEnded | None, call: LiveCall) -> None:
        """Take the turn that it answers, just over, and what is known of it only now."""
        self.turn = turn
        self.input_delay_ms = call.line.input_delay_ms
        self.line_delay_ms = line_delay_ms(call.line)
        if turn is not None:
            self.caller_end = call.audio.meter.last_caller_sample(turn.onset, turn.speech_end)
            if self.sent_s is not None and self.caller_end is not None:
                self.engine_asked_s = self.sent_s(self.caller_end)

    def record(self, meter: AudibilityMeter) -> TurnRecord:
        """Work out the figures; call it once the wire has seen the turn's last sample."""
        for sound in (self.queued, self.covered, self.answered):
            if sound is not None:
                meter.forget(sound)
        first = self.covered or self.queued
        gap_ms = self._response_gap_ms(first)
        is_speech = self.engine_audio_s is not None
        engine_ms = self._engine_ms() or 0.0
        if not is_speech:
            engine_ms = self._since_asked(self.first_sentence_s) or 0.0
            engine_ms += self._tts_ms() or 0.0
        share_ms = None if gap_ms is None else round(max(0.0, gap_ms - engine_ms), 1)
        started = self.turn.onset if self.turn else self.asked_at
        return TurnRecord(
            index=self.index,
            agent=self.agent,
            variant=self.variant,
            started_s=_seconds(started),
            bot_started_s=self._bot_started_s(),
            caller_text=self.caller_text,
            bot_text_generated=" ".join(self.generated) or None,
            bot_text_heard=self.heard or None,
            response_gap_ms=gap_ms,
            answer_gap_ms=self._response_gap_ms(self.answered),
            gateway_share_ms=share_ms,
            interrupted=self.interrupted,
            barge_in_stop_ms=self._barge_in_stop_ms(meter),
            endpointing_ms=self._endpointing_ms(),
            stt_final_ms=round(self.turn.stt_ms, 1) if self.turn and not self.is_again else None,
            llm_first_token_ms=_rounded(self._since_asked(self.first_token_s)),
            llm_first_sentence_ms=None
            if is_speech
            else _rounded(self._since_asked(self.first_sentence_s)),
            tts_first_audio_ms=None if is_speech else _rounded(self._tts_ms()),
            playout_start_ms=self._playout_start_ms(),
            engine_first_audio_ms=_rounded(self._engine_ms()),
            engine_to_wire_ms=_rounded(self._engine_to_wire_ms()),
            speculative=self.speculative,
            reopened=self.reopened,
            false_interruptions=tuple(self.false_interruptions),
            fillers=tuple(self.fillers),
            filler_starts_s=tuple(map(_seconds, self.filler_starts)),
            tools=(*self.earlier_tools, *self.tools),
            error=self.error,
        )

    def _response_gap_ms(self, sound: FirstSound | None) -> float | None:
        if sound is None or sound.at is None or self.caller_end is None or self.is_again:
            return None
        return round(milliseconds(sound.at - self.caller_end) + self.line_delay_ms, 1)

    def _bot_started_s(self) -> float | None:
        sound = self.answered if self.fillers else self.queued
        if sound is None or sound.at is None or not self.heard:
            return None
        return _seconds(sound.at)

    def _endpointing_ms(self) -> float | None:
        if self.turn is None or self.caller_end is None or self.is_again:
            return None
        return round(milliseconds(self.turn.now - self.caller_end) + self.input_delay_ms, 1)

    def _barge_in_stop_ms(self, meter: AudibilityMeter) -> float | None:
        last = meter.last_bot_sample()
        if self.barge_in_onset is None or last is None:
            return None
        first = meter.first_caller_sample(self.barge_in_onset)
        if self.queued is not None and self.queued.at is not None:
            first = max(first, self.queued.at)  # the caller was speaking when the bot began
        if first - last > _PAUSE:
            return None  # it was silent anyway
        return round(max(0.0, milliseconds(last - first) + self.barge_in_delay_ms), 1)

    def _playout_start_ms(self) -> float | None:
        if self.queued is None or self.queued.at is None:
            return None
        return round(milliseconds(self.queued.at - self.queued.since), 1)

    def _engine_ms(self) -> float | None:
        """From the caller's last sample, as the engine got it, to its first audio."""
        if self.engine_audio_s is None:
            return None
        since_s = self.asked_s if self.engine_asked_s is None else self.engine_asked_s
        return max(0.0, (self.engine_audio_s - since_s) * 1000)

    def _engine_to_wire_ms(self) -> float | None:
        if self.engine_audio_s is None or self.queued_s is None or self.fillers:
            return None
        start_ms = self._playout_start_ms()
        return None if start_ms is None else (self.queued_s - self.engine_audio_s) * 1000 + start_ms

    def _tts_ms(self) -> float | None:
        if self.first_audio_s is None or self.first_sentence_s is None:
            return None
        return (self.first_audio_s - self.first_sentence_s) * 1000

    def _since_asked(self, moment_s: float | None) -> float | None:
        return None if moment_s is None else (moment_s - self.asked_s) * 1000


def line_delay_ms(line: Line) -> float:
    """How much longer than in audio time the caller waits for what answers him."""
    return line.input_delay_ms + line.output_delay_ms


def _seconds(at: int) -> float:
    return round(at / ANALYSIS.sample_rate_hz, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
