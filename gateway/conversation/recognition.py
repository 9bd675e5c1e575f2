"""Recognition: the words of caller turns, from a recognizer, for the turn taker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.audio.format import ANALYSIS
from gateway.call import events
from gateway.call.line import coding_of
from gateway.call.live_call import LiveCall
from gateway.config.models import Eagerness, TurnConfig
from gateway.conversation.meter import RecognizerMeter
from gateway.conversation.recognized import Found, Recognized, Recognizing
from gateway.conversation.recognizer_session import RecognizerSession, of_line
from gateway.errors import ProviderError
from gateway.languages import language
from gateway.providers.contracts import Expect, SpeechToText, Trait, Transcript
from gateway.turn.barge_in_words import asides_of
from gateway.turn.events import (
    BargeInSuspected,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnStarted,
    samples,
)
from gateway.turn.taker import TurnTaker

_AGAIN = samples(1000)
"""A recognizer that listens all the time and has failed is tried again after this time."""


class Recognition:
    """Recognizes one caller turn after another.  Satisfies `Hearing`.

    Where the recognizer's turn detection counts (`turn.by`), it listens all the time instead.
    """

    def __init__(
        self,
        call: LiveCall,
        recognizer: SpeechToText,
        config: TurnConfig,
        taker: TurnTaker,
        on_failure: Callable[[ProviderError], None],
        meter: RecognizerMeter,
    ) -> None:
        self._call = call
        self._listens = taker.by != "gateway"
        self._on_failure = on_failure
        self._use = self._recognizing(recognizer, meter)
        self._former: Recognizing | None = None
        """What the turn in progress began with, where that was changed meanwhile."""
        self._config = config
        self._taker = taker
        self._asides = asides_of(language(config.language).turns)
        self._expect = Expect()
        self._turn: Recognized | None = None
        """The turn in progress; where the recognizer listens all the time, all turns."""
        self.on_traits: Callable[[tuple[Trait, ...]], None] = lambda _: None
        """Takes what the recognizer reports of the caller's voice."""
        self.is_whole = False
        """True when the latest transcript also holds the words from before `reopen`."""

    def _recognizing(self, recognizer: SpeechToText, meter: RecognizerMeter) -> Recognizing:
        call = self._call
        recognizer = of_line(recognizer, coding_of(call.line), listens=self._listens)
        session = RecognizerSession(recognizer, call.line.facts.call_id, call.group)
        return Recognizing(call, session, recognizer.input_format, self._on_failure, meter)

    def change(
        self, recognizer: SpeechToText | None, config: TurnConfig, meter: RecognizerMeter
    ) -> None:
        """Go by other settings; the turn in progress ends at the recognizer it began with.

        Args:
            recognizer: the new one; None = it stays.
            config: `turn` of the agent.
            meter: of the new one.
        """
        self._config = config
        if recognizer is None:
            return
        before, self._use = self._use, self._recognizing(recognizer, meter)
        if self._turn is None or self._former is not None:
            before.session.close()
        else:
            self._former = before
        if self._turn is not None and self._listens and not self._taker.in_turn:
            self._stop()

    @property
    def may_wait(self) -> bool:
        """False: partial texts are asked for by the time that has passed."""
        return False

    def hear(self, pcm: bytes) -> None:
        """Accept one frame in the format of the call."""
        failed_at = None if self._turn is None else self._turn.failed_at
        if self._turn is not None and failed_at is None:
            self._turn.push(pcm)
        elif self._listens and self._call.audio.now - (failed_at or -_AGAIN) >= _AGAIN:
            since = self._call.audio.now - ANALYSIS.frame_samples
            self._turn = Recognized(self._use, since, self._found)

    def follow(self, event: TurnEvent) -> None:
        """Accept what the turn taker has found in the audio so far."""
        match event:
            case TurnStarted():
                if self._turn is None:  # else a barge-in was suspected before, or it listens
                    self._start(event.onset)
            case TranscriptWanted():
                if self._turn is not None:
                    self._turn.request(self._likely(event))
            case BargeInSuspected():
                if not self._listens:
                    self._start(event.onset)
            case TurnEnded() | TurnDiscarded():
                self.drop_turn()
            case _:
                pass

    def caller_goes_on(self) -> None:
        """Note that the end of a turn that was awaited has not come."""
        if self._turn is not None:
            self._turn.caller_goes_on()

    def expect(self, expect: Expect) -> None:
        """Set what the dialogue expects from the next turn."""
        self._expect = expect

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Recognition does not decide about turns."""

    def reopen(self, onset: int) -> None:
        """The caller goes on with a turn that began at `onset`: recognize it as one."""
        if self._listens:  # the words from before are those of another turn
            return
        asked_again = self._turn is not None and self._turn.was_requested
        if self._call.audio.keeps(onset):
            self._start(onset, is_reopened=True)
            if asked_again and self._turn is not None:
                self._turn.request(())

    def drop_turn(self) -> None:
        """Stop recognition of the turn in progress."""
        if self._listens and self._turn is not None and self._former is None:
            self._turn.turn_over(self._call.audio.now)
        else:
            self._stop()

    def mute(self) -> None:
        """Note that no audio follows for a while; the turn in progress was dropped."""
        self._stop()

    def close(self) -> None:
        """End it, and the recognizer's session."""
        self._stop()
        self._use.session.close()
        self._use.meter.settle()

    def _stop(self) -> None:
        former, self._former = self._former, None
        if self._turn is not None:
            self._turn.stop()
            self._turn = None
            (former or self._use).meter.settle()
        if former is not None:
            former.session.close()

    def _likely(self, event: TranscriptWanted) -> tuple[str, ...]:
        """What a short utterance over the bot's voice, now over, may well be."""
        is_over = event.speech_end < event.now - ANALYSIS.frame_samples
        return tuple(self._asides) if is_over and self._taker.may_be_aside else ()

    def _start(self, onset: int, *, is_reopened: bool = False) -> None:
        self._stop()
        self.is_whole = False
        since = onset - samples(self._config.preroll_ms)
        on_found = partial(self._found, is_whole=is_reopened)
        self._turn = Recognized(self._use, since, on_found, self._expect)

    def _found(self, found: Found, at: int, *, is_whole: bool = False) -> None:
        if isinstance(found, Transcript):
            self._transcribed(found, at, is_whole=is_whole)
        else:
            self._taker.recognizer_turn(found.kind, found.text, at)

    def _transcribed(self, transcript: Transcript, covers: int, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        kind = events.FinalTranscript if transcript.requested else events.PartialTranscript
        self._call.note(
            kind(
                text=transcript.text,
                choice=transcript.choice,
                log_prob=transcript.log_prob,
                end_of_turn=transcript.end_of_turn,
                covers=covers,
            )
        )
        self._call.control.heard_language(
            transcript.language, transcript.text, is_final=transcript.requested
        )
        if transcript.traits:
            self.on_traits(transcript.traits)
        now = self._call.audio.now
        aside = self._asides.get(transcript.choice or "")
        self._taker.transcript(
            transcript.text,
            None if aside else transcript.choice,
            covers,
            now,
            transcript.end_of_turn,
            transcript.log_prob,
            aside,
            is_streamed=transcript.is_streamed,
        )
