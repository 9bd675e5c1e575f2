"""Recognition: the words of caller turns, from a recognizer, for the turn taker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.audio.converter import Converter
from gateway.audio.format import ANALYSIS
from gateway.call import events
from gateway.call.live_call import LiveCall
from gateway.config.models import Eagerness, TurnConfig
from gateway.conversation.recognizer_session import RecognizerSession, of_line
from gateway.errors import ProviderError
from gateway.providers.contracts import Expect, SpeechToText, SttStream, Transcript
from gateway.turn.barge_in_words import ASIDES
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


class Recognition:
    """Recognizes one caller turn after another.  Satisfies `Hearing`."""

    def __init__(
        self,
        call: LiveCall,
        recognizer: SpeechToText,
        config: TurnConfig,
        taker: TurnTaker,
        on_failure: Callable[[ProviderError], None],
    ) -> None:
        self._call = call
        self._recognizer = recognizer = of_line(recognizer, call.line.media_format)
        self._session = RecognizerSession(recognizer, call.line.facts.call_id, call.group)
        self._config = config
        self._taker = taker
        self._on_failure = on_failure
        self._expect = Expect()
        self._turn: _CallerTurn | None = None
        self.is_whole = False
        """True when the latest transcript also holds the words from before `reopen`."""

    def hear(self, pcm: bytes) -> None:
        """Accept one frame in the format of the call."""
        if self._turn is not None:
            self._turn.push(pcm)

    def follow(self, event: TurnEvent) -> None:
        """Accept what the turn taker has found in the audio so far."""
        match event:
            case TurnStarted():
                if self._turn is None:  # else a barge-in was suspected before
                    self._start(event.onset)
            case TranscriptWanted():
                if self._turn is not None:
                    self._turn.request(self._likely(event))
            case BargeInSuspected():
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
        asked_again = self._turn is not None and self._turn.was_requested
        if self._call.audio.keeps(onset):
            self._start(onset, is_reopened=True)
            if asked_again and self._turn is not None:
                self._turn.request(())

    def drop_turn(self) -> None:
        """Stop recognition of the turn in progress."""
        if self._turn is not None:
            self._turn.stop()
            self._turn = None

    def mute(self) -> None:
        """Note that no audio follows for a while; the turn in progress was dropped."""

    def close(self) -> None:
        """End it, and the recognizer's session."""
        self.drop_turn()
        self._session.close()

    def _likely(self, event: TranscriptWanted) -> tuple[str, ...]:
        """What a short utterance over the bot's voice, now over, may well be."""
        is_over = event.speech_end < event.now - ANALYSIS.frame_samples
        return tuple(ASIDES) if is_over and self._taker.may_be_aside else ()

    def _start(self, onset: int, *, is_reopened: bool = False) -> None:
        self.drop_turn()
        self.is_whole = False
        back = self._call.audio.now - onset + samples(self._config.preroll_ms)
        pcm, begins = self._call.audio.recent(back)
        self._turn = _CallerTurn(
            self._session,
            Converter(self._call.audio.format, self._recognizer.input_format),
            self._recognizer.input_format.sample_rate_hz,
            self._expect,
            begins,
            partial(self._transcribed, is_whole=is_reopened),
            self._on_failure,
        )
        self._turn.push(pcm)
        self._turn.start(self._call.group)

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
        now = self._call.audio.now
        aside = ASIDES.get(transcript.choice or "")
        self._taker.transcript(
            transcript.text,
            None if aside else transcript.choice,
            covers,
            now,
            transcript.end_of_turn,
            transcript.log_prob,
            aside,
        )


class _CallerTurn:
    """One caller turn at the recognizer."""

    def __init__(
        self,
        session: RecognizerSession,
        converter: Converter,
        rate_hz: int,
        expect: Expect,
        begins: int,
        on_transcript: Callable[[Transcript, int], None],
        on_failure: Callable[[ProviderError], None],
    ) -> None:
        self._session = session
        self._expect = expect
        self._begins = begins
        self._on_transcript = on_transcript
        self._on_failure = on_failure
        self._stream: SttStream | None = None
        self._waiting: list[bytes] = []
        self.was_requested = False
        """True once a transcript was asked for."""
        self._among: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._is_over = False
        self._rate_hz = rate_hz
        self._converter = converter

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin in the call's task group."""
        self._task = group.create_task(self._run())

    def push(self, pcm: bytes) -> None:
        """Pass on caller audio in the format of the call."""
        audio = self._converter.process(pcm)
        if self._stream is None:
            self._waiting.append(audio)
        else:
            self._stream.push(audio)

    def request(self, among: tuple[str, ...]) -> None:
        """Ask for the transcript of all so far, which may well be one of some phrases."""
        self.was_requested = True
        if self._stream is None:
            self._among = among
        else:
            self._stream.request_transcript(among)

    def caller_goes_on(self) -> None:
        """Note that the transcript that was asked for is not awaited any more."""
        if self._stream is not None:
            self._stream.caller_goes_on()

    def stop(self) -> None:
        """End it; nothing it says counts any more.  It owns its task, so it cancels it."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._session.stream(self._expect) as stream:
                self._open(stream)
                async for transcript in stream:
                    if not self._is_over:
                        self._on_transcript(transcript, self._covers(transcript))
        except ProviderError as error:
            if not self._is_over:
                self._on_failure(error)

    def _open(self, stream: SttStream) -> None:
        for audio in self._waiting:
            stream.push(audio)
        self._waiting.clear()
        self._stream = stream
        if self.was_requested:
            stream.request_transcript(self._among)

    def _covers(self, transcript: Transcript) -> int:
        return (
            self._begins + transcript.audio_end_samples * ANALYSIS.sample_rate_hz // self._rate_hz
        )
