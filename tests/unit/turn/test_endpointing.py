"""The time that recognition took: from the request to the first answer that covers the speech."""

from gateway.config.models import TurnConfig
from gateway.turn.endpointing import Endpointer
from gateway.turn.events import EagerEnd, TurnEnded, TurnEvent, samples

_TICK = 160


def _run(transcripts: dict[int, tuple[str, int]]) -> tuple[int, list[TurnEvent]]:
    """Speak for one second; give transcripts (text, covered ms) at audio times in ms."""
    endpointer = Endpointer(TurnConfig())
    speech_end = samples(1000)
    endpointer.speech_started(0, 0)
    endpointer.speech_stopped(speech_end)
    events: list[TurnEvent] = []
    for now in range(speech_end, samples(4000), _TICK):
        for at_ms, (text, covers_ms) in transcripts.items():
            if now == samples(at_ms):
                endpointer.transcript(text, None, samples(covers_ms), now)
        events += endpointer.advance(now)
        if events and isinstance(events[-1], TurnEnded):
            break
    return speech_end, events


def test_a_whole_sentence_ends_the_turn_after_the_short_wait() -> None:
    speech_end, events = _run({1240: ("I want a coffee.", 1160)})

    asked, ended = events
    assert isinstance(asked, EagerEnd)
    assert isinstance(ended, TurnEnded)
    assert ended.evidence == "whole"
    assert ended.now == speech_end + samples(480)
    assert ended.stt_ms == 80


def test_a_later_transcript_does_not_make_recognition_look_slow() -> None:
    _, events = _run({1240: ("I want a", 1160), 1700: ("I want a", 1660)})

    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.evidence == "unfinished"
    assert ended.stt_ms == 80


def test_a_transcript_of_less_than_the_speech_is_no_answer() -> None:
    _, events = _run({1200: ("I want a coffee.", 900), 1300: ("I want a coffee now.", 1160)})

    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.text == "I want a coffee now."
    assert ended.stt_ms == 140
