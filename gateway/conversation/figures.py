"""TurnFigures: the times of one turn while they come in; at its end they make a TurnRecord."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from gateway.audio.format import LINE
from gateway.conversation.live_call import LiveCall
from gateway.conversation.wire import WireMeter
from gateway.records.model import HeldBreath, ToolUse, TurnRecord
from gateway.turn.events import TurnEnded, milliseconds


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
    queued_at: int | None = None
    """Audio time at which the first frame was queued for RTP."""
    covered_at: int | None = None
    """Audio time at which a filler was said while the caller's words were still awaited."""
    generated: list[str] = field(default_factory=list)
    answered_at: int | None = None
    """Audio time at which the answer itself began, where a filler was said before."""
    fillers: list[str] = field(default_factory=list)
    held_breaths: list[HeldBreath] = field(default_factory=list)
    speculative: bool = False
    reopened: bool = False
    is_again: bool = False
    """It goes on with an answer that was cut in error: how soon it came is in that one's record."""
    heard: str = ""
    interrupted: bool = False
    barge_in_onset: int | None = None
    barge_in_delay_ms: float = 0.0
    """`input_delay_ms` when the caller broke in."""
    tools: list[ToolUse] = field(default_factory=list)
    error: str | None = None
    input_delay_ms: float = 0.0
    """How long ago what is heard was sent, when the caller's turn was over."""

    @classmethod
    def at(cls, call: LiveCall, turn: TurnEnded | None = None) -> TurnFigures:
        """Begin now."""
        figures = cls(0, asyncio.get_running_loop().time(), call.ear.now, turn)
        figures.input_delay_ms = call.line.input_delay_ms
        return figures

    def record(self, meter: WireMeter) -> TurnRecord:
        """Work out the figures; call it once the wire has seen the turn's last sample."""
        spoke_at = None if self.queued_at is None else meter.first_bot_sample(self.queued_at)
        covered = self.covered_at
        first_at = spoke_at if covered is None else meter.first_bot_sample(covered)
        gap_ms = self._response_gap_ms(meter, first_at)
        engine_ms = (self._since_asked(self.first_sentence_s) or 0.0) + (self._tts_ms() or 0.0)
        share_ms = None if gap_ms is None else round(max(0.0, gap_ms - engine_ms), 1)
        started = self.turn.onset if self.turn else self.asked_at
        return TurnRecord(
            index=self.index,
            started_s=round(started / LINE.sample_rate_hz, 3),
            caller_text=self.caller_text,
            bot_text_generated=" ".join(self.generated) or None,
            bot_text_heard=self.heard or None,
            response_gap_ms=gap_ms,
            answer_gap_ms=self._answer_gap_ms(meter),
            gateway_share_ms=share_ms,
            interrupted=self.interrupted,
            barge_in_stop_ms=self._barge_in_stop_ms(meter),
            endpointing_ms=self._endpointing_ms(meter),
            stt_final_ms=round(self.turn.stt_ms, 1) if self.turn and not self.is_again else None,
            llm_first_token_ms=_rounded(self._since_asked(self.first_token_s)),
            llm_first_sentence_ms=_rounded(self._since_asked(self.first_sentence_s)),
            tts_first_audio_ms=_rounded(self._tts_ms()),
            playout_start_ms=self._playout_start_ms(spoke_at),
            speculative=self.speculative,
            reopened=self.reopened,
            held_breaths=tuple(self.held_breaths),
            fillers=tuple(self.fillers),
            tools=tuple(self.tools),
            error=self.error,
        )

    def _response_gap_ms(self, meter: WireMeter, spoke_at: int | None) -> float | None:
        if self.turn is None or spoke_at is None or self.is_again:
            return None
        last = meter.last_caller_sample(self.turn.speech_end)
        return round(milliseconds(spoke_at - last) + self.input_delay_ms, 1)

    def _answer_gap_ms(self, meter: WireMeter) -> float | None:
        if self.answered_at is None:
            return None
        return self._response_gap_ms(meter, meter.first_bot_sample(self.answered_at))

    def _endpointing_ms(self, meter: WireMeter) -> float | None:
        if self.turn is None or self.is_again:
            return None
        last = meter.last_caller_sample(self.turn.speech_end)
        return round(milliseconds(self.turn.now - last) + self.input_delay_ms, 1)

    def _barge_in_stop_ms(self, meter: WireMeter) -> float | None:
        last = meter.last_bot_sample()
        if self.barge_in_onset is None or last is None:
            return None
        first = meter.first_caller_sample(self.barge_in_onset)
        return round(max(0.0, milliseconds(last - first) + self.barge_in_delay_ms), 1)

    def _playout_start_ms(self, spoke_at: int | None) -> float | None:
        if spoke_at is None or self.queued_at is None:
            return None
        return round(milliseconds(spoke_at - self.queued_at), 1)

    def _tts_ms(self) -> float | None:
        if self.first_audio_s is None or self.first_sentence_s is None:
            return None
        return (self.first_audio_s - self.first_sentence_s) * 1000

    def _since_asked(self, moment_s: float | None) -> float | None:
        return None if moment_s is None else (moment_s - self.asked_s) * 1000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
