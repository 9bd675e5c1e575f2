"""Recognition for what-if runs: transcribes the stretches that the call itself did not ask for."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audio.converter import Converter
from gateway.audio.format import ANALYSIS, SAMPLE_BYTES
from gateway.config.engine_table import EngineTable
from gateway.config.models import AgentConfig, GatewayConfig
from gateway.providers import registry
from gateway.providers.contracts import Expect, SpeechToText, Transcript
from gateway.replay.hearing import Heard, chunks_of
from gateway.replay.recording import Answer, Talk
from gateway.replay.settings import Settings
from gateway.replay.what_if import Ask, Outcome, usual_lag, what_if
from gateway.turn.events import samples

_MAX_ROUNDS = 50
"""Each answer may lead to other questions; no call has come near this."""


def stt_of(config: GatewayConfig, agent: str) -> EngineTable:
    """Return the recognizer of an agent; of one that is not configured the default.

    Behind a router it is the first one.
    """
    return next(config.agents.get(agent, AgentConfig()).stt.leaves())


async def recognize(
    talk: Talk,
    heard: Sequence[Heard],
    settings: Settings,
    stt: EngineTable,
) -> Outcome:
    """Run a conversation with other settings and real transcripts.

    Args:
        talk: as recorded.
        heard: the call's audio as processed live, frame by frame.
        settings: the new ones.
        stt: the `stt` table of an agent.

    Raises:
        ProviderError: the recognizer does not work.
    """
    recognizer = registry.create("stt", stt)
    known: dict[Ask, Answer] = {}
    chunks = chunks_of(heard)
    try:
        await recognizer.warm_up()
        outcome = what_if(talk, chunks, settings)
        for _ in range(_MAX_ROUNDS):
            asks = [ask for ask in outcome.guessed + outcome.unanswered if ask not in known]
            if not asks:
                break
            for ask in asks:
                known[ask] = await _transcribe(recognizer, heard, talk, settings, ask)
            outcome = what_if(talk, chunks, settings, known)
    finally:
        await recognizer.close()
    return outcome


async def _transcribe(
    recognizer: SpeechToText, heard: Sequence[Heard], talk: Talk, settings: Settings, ask: Ask
) -> Answer:
    frame = ANALYSIS.frame_samples
    begins = max(0, (ask.onset - samples(settings.turn.preroll_ms)) // frame)
    pcm = b"".join(each.audio for each in heard[begins : ask.now // frame])
    pcm = Converter(ANALYSIS, recognizer.input_format).process(pcm)
    found = await _decode(recognizer, _expected(talk, ask.onset), pcm)
    lag = usual_lag(talk)
    return Answer(
        text=found.text,
        choice=found.choice,
        covers=ask.now,
        arrived=ask.now + lag,
        lag=lag,
        was_requested=True,
        end_of_turn=found.end_of_turn,
        log_prob=found.log_prob,
    )


async def _decode(recognizer: SpeechToText, expect: Expect, pcm: bytes) -> Transcript:
    step = ANALYSIS.frame_samples * SAMPLE_BYTES
    async with recognizer.stream(expect) as stream:
        for at in range(0, len(pcm), step):
            stream.push(pcm[at : at + step])
        stream.request_transcript()
        async for transcript in stream:
            if transcript.requested:
                return transcript
    return Transcript("", 0)


def _expected(talk: Talk, when: int) -> Expect:
    """Return what the dialogue expected of a turn that began then."""
    return next((expect for since, expect in reversed(talk.expected) if since <= when), Expect())
