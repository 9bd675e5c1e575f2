"""Listener: caller frames -> turn-taking and recognition -> turn events, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import assert_never

import structlog

from gateway.audio.format import LINE
from gateway.audio.resample import Resampler
from gateway.audio.voice_chunk import Chunk
from gateway.config.models import TurnConfig
from gateway.conversation.live_call import LiveCall
from gateway.errors import ProviderError
from gateway.providers.contracts import Expect, SpeechToText, SttStream, Transcript
from gateway.turn.barge_in_words import ASIDES
from gateway.turn.completeness import Wanted
from gateway.turn.events import (
    BargeInConfirmed,
    BargeInRejected,
    BargeInSuspected,
    CallerSilent,
    EagerEnd,
    TranscriptWanted,
    TurnDiscarded,
    TurnEnded,
    TurnEvent,
    TurnResumed,
    TurnStarted,
    samples,
)
from gateway.turn.taker import TurnTaker
from gateway.turn.tape import Told

log = structlog.get_logger(__name__)


Heard = TurnEvent | ProviderError


class Listener:
    """Listens for one conversation.  Loop thread only."""

    def __init__(
        self,
        call: LiveCall,
        recognizer: SpeechToText,
        config: TurnConfig,
        silence_s: float,
        post: Callable[[Heard], None],
    ) -> None:
        self._call = call
        self._recognizer = recognizer
        self._config = config
        self._post = post
        self._expect = Expect()
        self._recognition: _Recognition | None = None
        self.taker = TurnTaker(config, silence_s)
        self.taker.tape = self._tape
        self.is_whole = False
        """True when the latest transcript also holds the words from before `reopen`."""
        self.muted = False
        """True while nobody is to be understood (hold)."""
        settings = {"turn": config.model_dump(mode="json"), "silence_s": silence_s}
        call.note("turn_taking_started", now=call.ear.now, settings=settings)

    def expect(self, expect: Expect) -> None:
        """Set what the dialogue expects from the next turn."""
        self._expect = expect
        self._call.note("expects", now=self._call.ear.now, expect=expect)
        self.taker.expect(Wanted(expect.kind, expect.digits))

    def on_frame(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        """Take one frame (the ear's sink)."""
        if self.muted:
            return
        if self._recognition is not None:
            self._recognition.push(pcm)
        awaited_end = self.taker.awaits_end
        for event in self.taker.hear(chunks, now):
            self._follow(event)
            self._post(event)
        if awaited_end and not self.taker.awaits_end and self._recognition is not None:
            self._recognition.caller_goes_on()

    def reopen(self, onset: int) -> None:
        """The caller goes on with a turn that began at `onset`: recognize it as one."""
        asked_again = self._recognition is not None and self._recognition.was_requested
        if self._call.ear.keeps(onset):
            self._start_recognition(onset, is_reopened=True)
            if asked_again and self._recognition is not None:
                self._recognition.request(())

    def drop_turn(self, reason: str) -> None:
        """Forget the caller turn in progress (see `TurnDiscarded.reason`)."""
        if self.taker.drop_turn():
            now = self._call.ear.now
            self._post(TurnDiscarded(now, now, reason))
        self.close()

    def mute(self) -> None:
        """Understand nobody until `unmute`: the caller is on hold or being transferred."""
        self.muted = True
        self.drop_turn("held")
        self.taker.forget_speech()

    def unmute(self) -> None:
        """Listen again."""
        self.muted = False
        self.taker.caller_is_there(self._call.ear.now)

    def close(self) -> None:
        """Stop recognition."""
        if self._recognition is not None:
            self._recognition.stop()
            self._recognition = None

    def end(self) -> None:
        """Listen no more."""
        self.close()
        self._call.note("turn_taking_ended", heard=self.taker.heard)

    def _tape(self, told: Told) -> None:
        self._call.note("turn_input", input=told.name, heard=told.heard, arguments=told.arguments)

    def _follow(self, event: TurnEvent) -> None:
        self._note(event)
        match event:
            case TurnStarted():
                if self._recognition is None:  # else a barge-in was suspected before
                    self._start_recognition(event.onset)
            case TranscriptWanted():
                if self._recognition is not None:
                    self._recognition.request(self._likely(event))
            case BargeInSuspected():
                self._start_recognition(event.onset)
            case TurnEnded() | TurnDiscarded():
                self.close()
            case (
                EagerEnd() | TurnResumed() | BargeInConfirmed() | BargeInRejected() | CallerSilent()
            ):
                pass
            case _:
                assert_never(event)

    def _likely(self, event: TranscriptWanted) -> tuple[str, ...]:
        """What a short utterance over the bot's voice, now over, may well be."""
        is_over = event.speech_end < event.now - LINE.frame_samples
        return tuple(ASIDES) if is_over and self.taker.may_be_aside else ()

    def _start_recognition(self, onset: int, *, is_reopened: bool = False) -> None:
        self.close()
        self.is_whole = False
        back = self._call.ear.now - onset + samples(self._config.preroll_ms)
        pcm, begins = self._call.ear.recent(back)
        self._recognition = _Recognition(
            self._recognizer,
            self._expect,
            begins,
            partial(self._transcribed, is_whole=is_reopened),
            self._post,
        )
        self._recognition.push(pcm)
        self._recognition.start(self._call.group)

    def _transcribed(self, transcript: Transcript, covers: int, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        kind = "final_transcript" if transcript.requested else "partial_transcript"
        self._call.note(
            kind,
            text=transcript.text,
            choice=transcript.choice,
            log_prob=transcript.log_prob,
            end_of_turn=transcript.end_of_turn,
            covers=covers,
        )
        now = self._call.ear.now
        aside = ASIDES.get(transcript.choice or "")
        self.taker.transcript(
            transcript.text,
            None if aside else transcript.choice,
            covers,
            now,
            transcript.end_of_turn,
            transcript.log_prob,
            aside,
        )

    def _note(self, event: TurnEvent) -> None:
        name = EVENT_NAMES[type(event)]
        data = asdict(event)  # positions in samples: a replay compares them
        if isinstance(event, TurnStarted):
            data["onset_s"] = event.onset / LINE.sample_rate_hz
        self._call.recorder.event(name, event.now / LINE.sample_rate_hz, **data)


EVENT_NAMES = {
    TurnStarted: "turn_started",
    TranscriptWanted: "transcript_wanted",
    EagerEnd: "eager_end",
    TurnResumed: "turn_resumed",
    TurnEnded: "turn_ended",
    TurnDiscarded: "turn_discarded",
    BargeInSuspected: "barge_in_suspected",
    BargeInConfirmed: "barge_in_confirmed",
    BargeInRejected: "barge_in_rejected",
    CallerSilent: "caller_silent",
}


class _Recognition:
    """One caller turn at the recognizer."""

    def __init__(
        self,
        recognizer: SpeechToText,
        expect: Expect,
        begins: int,
        on_transcript: Callable[[Transcript, int], None],
        on_failure: Callable[[ProviderError], None],
    ) -> None:
        self._recognizer = recognizer
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
        rate_hz = recognizer.input_format.sample_rate_hz
        self._rate_hz = rate_hz
        line_hz = LINE.sample_rate_hz
        self._resampler = None if rate_hz == line_hz else Resampler(line_hz, rate_hz)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin in the call's task group."""
        self._task = group.create_task(self._run())

    def push(self, pcm: bytes) -> None:
        """Give it caller audio at the line's rate."""
        audio = self._resampler.process(pcm) if self._resampler else pcm
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
        """Nobody waits any more for the transcript that was asked for."""
        if self._stream is not None:
            self._stream.caller_goes_on()

    def stop(self) -> None:
        """End it; nothing it says counts any more.  It owns its task, so it cancels it."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            async with self._recognizer.stream(self._expect) as stream:
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
        return self._begins + transcript.audio_end_samples * LINE.sample_rate_hz // self._rate_hz
