"""Recording: what a call bundle holds of turn taking, read back and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gateway.audio.format import ANALYSIS
from gateway.call import events as events_of_call
from gateway.call.events import (
    Event,
    Expects,
    FinalTranscript,
    PartialTranscript,
    TurnTakingEnded,
    TurnTakingStarted,
    UnknownEvent,
    parsed,
)
from gateway.errors import GatewayError
from gateway.providers.contracts import Expect
from gateway.records.bundle_files import AUDIO_FILE, CALL_FILE, EVENTS_FILE, read_call, read_events
from gateway.records.model import CallRecord
from gateway.replay.settings import Settings, settings_of
from gateway.replay.stereo import Stereo, read_stereo
from gateway.turn.barge_in_words import Aside
from gateway.turn.events import TranscriptWanted, TurnEvent, TurnStarted, samples
from gateway.turn.input_log import TurnInput

RESAMPLING = samples(30)
"""What a resampler may have held back of the audio that a transcript covers."""
_DECISIONS = frozenset(event.kind for event in get_args(TurnEvent))
_NEEDED = frozenset(
    event.kind for event in (TurnTakingStarted, TurnTakingEnded, events_of_call.TurnInput, Expects)
)
"""Without these there is no replay."""
_NO_PART_OF_IT = frozenset({"at", "audio_s", "kind", "onset_s"})


class NotReplayable(GatewayError):  # noqa: N818 (says what is wrong with the bundle)
    """A folder is no bundle, or lacks what a replay needs."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A line of `events.jsonl`."""

    audio_s: float
    event: Event | UnknownEvent
    fields: Mapping[str, Any]
    """As recorded, which may be by another version."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One event that turn taking gave."""

    kind: str
    fields: dict[str, Any]
    """All of it, positions in samples, as recorded."""

    @property
    def event(self) -> Event | UnknownEvent:
        """The event as this version knows it."""
        return parsed({"kind": self.kind, **self.fields})

    @property
    def now(self) -> int:
        """Audio time of the decision, in samples."""
        return int(self.fields["now"])


@dataclass(frozen=True, slots=True)
class Answer:
    """A transcript that recognition gave in the call."""

    text: str
    choice: str | None
    covers: int
    """Audio time up to which it holds, in samples."""
    arrived: int
    lag: int = 0
    """From the request to its arrival."""
    was_requested: bool = False
    end_of_turn: float | None = None
    """Probability that the turn is over, where the recognizer estimates it."""
    log_prob: float | None = None
    """Mean log-probability per token, where known."""
    aside: Aside | None = None
    """What a short utterance over the bot's voice was by its sound, where that was clear."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Turn taking of one conversation of the call."""

    settings: Settings
    inputs: tuple[TurnInput, ...]
    """Everything but audio, in order."""
    answers: tuple[Answer, ...]
    decisions: tuple[Decision, ...]
    heard: int
    """Audio time up to which it heard the caller, in samples."""
    expected: tuple[tuple[int, Expect], ...] = ()
    """(since when, what the dialogue expected)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One call."""

    folder: Path
    record: CallRecord
    events: tuple[LoggedEvent, ...]
    audio: Stereo
    talks: tuple[Talk, ...]
    remarks: tuple[str, ...]
    """What is not as it should be, but does not prevent a replay."""

    @property
    def has_turns(self) -> bool:
        """True when the caller has taken a turn."""
        return any(isinstance(logged.event, TurnStarted) for logged in self.events)


def read_recording(path: Path) -> Recording:
    """Read a bundle.

    Args:
        path: the folder of a call, or a file in it.

    Raises:
        NotReplayable: it is no bundle, is damaged, or has no audio.
    """
    folder = path.parent if path.is_file() else path
    record = _read_record(folder)
    events = _read_events(folder)
    audio = _read_audio(folder)
    talks = tuple(_talks(events, audio))
    return Recording(
        folder, record, events, audio, talks, tuple(_remarks(folder, record, events, audio, talks))
    )


def _read_record(folder: Path) -> CallRecord:
    if not folder.is_dir():
        raise NotReplayable(f"{folder}: there is no such folder")
    try:
        return read_call(folder)
    except FileNotFoundError:
        text = f"{folder}: not a call bundle: it holds no {CALL_FILE}"
        raise NotReplayable(text) from None
    except (OSError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise NotReplayable(f"{folder / CALL_FILE}: not a call record: {first}") from error


def _read_events(folder: Path) -> tuple[LoggedEvent, ...]:
    try:
        return tuple(map(_logged, read_events(folder / EVENTS_FILE)))
    except OSError as error:
        raise NotReplayable(
            f"{folder}: cannot read {EVENTS_FILE}: {error.strerror or error}"
        ) from error


def _logged(line: dict[str, Any]) -> LoggedEvent:
    fields = {key: value for key, value in line.items() if key not in _NO_PART_OF_IT}
    return LoggedEvent(float(line.get("audio_s", 0.0)), parsed(line), fields)


def _read_audio(folder: Path) -> Stereo:
    path = folder / AUDIO_FILE
    try:
        audio = read_stereo(path)
    except FileNotFoundError:
        text = f"{folder}: it holds no {AUDIO_FILE} (`records.audio` was off, or the call refused)"
        raise NotReplayable(text) from None
    except (OSError, ValueError) as error:
        raise NotReplayable(f"{path}: {error}") from error
    if not audio.frames:
        raise NotReplayable(f"{path}: there is no audio in it")
    return audio


def _talks(events: Iterable[LoggedEvent], audio: Stereo) -> Iterator[Talk]:
    begun: list[LoggedEvent] = []
    for logged in events:
        if logged.event.kind == TurnTakingStarted.kind:
            if begun:
                yield _talk(begun, audio)
            begun = [logged]
        elif begun:
            begun.append(logged)
    if begun:
        yield _talk(begun, audio)


def _talk(events: list[LoggedEvent], audio: Stereo) -> Talk:
    """Read one conversation; a line that is not what it should be makes it not replayable."""
    for number, logged in enumerate(events):
        if isinstance(logged.event, UnknownEvent) and logged.event.kind in _NEEDED:
            text = f"{EVENTS_FILE}: turn taking is not recorded as expected: {logged.event!r}"
            raise NotReplayable(text)
        if isinstance(logged.event, TurnTakingEnded):
            end = min(audio.samples, logged.event.heard)
            events = events[:number]
            break
    else:
        end = audio.samples
    started = events[0].event
    assert isinstance(started, TurnTakingStarted)  # noqa: S101 - see `_talks`
    told = [_input(one.event) for one in events if isinstance(one.event, events_of_call.TurnInput)]
    try:
        return Talk(
            settings=settings_of(started.settings),
            inputs=tuple(item for item in told if item.heard <= end),
            answers=tuple(_answers(events)),
            decisions=tuple(d for d in map(decision_of, events) if d is not None and d.now <= end),
            heard=end,
            expected=tuple(
                (one.event.now, one.event.expect)
                for one in events
                if isinstance(one.event, Expects)
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        text = f"{EVENTS_FILE}: turn taking is not recorded as expected: {error!r}"
        raise NotReplayable(text) from error


def _input(event: events_of_call.TurnInput) -> TurnInput:
    return TurnInput(event.input, event.heard, event.arguments)


def _answers(events: Iterable[LoggedEvent]) -> Iterator[Answer]:
    was_requested = False
    asked: list[int] = []
    answers: list[tuple[dict[str, Any], bool]] = []
    for logged in events:
        match logged.event:
            case PartialTranscript():
                was_requested = False
            case FinalTranscript():
                was_requested = True
            case TranscriptWanted(now=now):
                asked.append(now)
            case events_of_call.TurnInput(input="transcript", arguments=arguments):
                answers.append((arguments, was_requested))
    # Each covers what was pushed before its request, less what a resampler holds back.
    covered = [int(said["covers"]) for said, _ in answers]
    exact = {now for now in asked if any(0 <= now - covers <= RESAMPLING for covers in covered)}
    for said, is_requested in answers:
        yield _answer(said, asked, exact, was_requested=is_requested)


def _answer(
    said: dict[str, Any], asked: Sequence[int], exact: Set[int], *, was_requested: bool
) -> Answer:
    """Find what it was the answer to.

    Args:
        said: the transcript.
        asked: when transcripts were asked for, in order.
        exact: those with an answer that covers all until then.  What was asked anew for a reopened
            turn covers less, and is the answer to none of them.
        was_requested: it is no partial transcript.
    """
    covers, arrived = int(said["covers"]), int(said["now"])
    near = (now for now in asked if 0 <= now - covers <= RESAMPLING)
    later = (now for now in asked if covers < now < arrived and now not in exact)
    request = next(near, next(later, covers))
    return Answer(
        text=said["text"],
        choice=said["choice"],
        covers=covers,
        arrived=arrived,
        lag=arrived - request,
        was_requested=was_requested,
        end_of_turn=said.get("end_of_turn"),
        log_prob=said.get("log_prob"),
        aside=said.get("aside"),
    )


def decision_of(logged: LoggedEvent) -> Decision | None:
    """Return the decision that a line of `events.jsonl` holds, if any."""
    if logged.event.kind not in _DECISIONS or "now" not in logged.fields:
        return None
    return Decision(logged.event.kind, dict(logged.fields))


def as_json(fields: dict[str, Any]) -> dict[str, Any]:
    """Return values as they are once they have been in a file."""
    found: dict[str, Any] = json.loads(json.dumps(fields))
    return found


def _remarks(
    folder: Path,
    record: CallRecord,
    events: tuple[LoggedEvent, ...],
    audio: Stereo,
    talks: tuple[Talk, ...],
) -> Iterator[str]:
    if record.state == "active":
        yield "the call is still going on, or its worker died: only what is there is replayed"
    lines = (folder / EVENTS_FILE).read_bytes().splitlines()
    torn = sum(1 for line in lines if line.strip()) - len(events)
    if torn:
        yield f"{EVENTS_FILE}: {torn} damaged lines left out"
    last_s = max((logged.audio_s for logged in events), default=0.0)
    missing_s = last_s - audio.samples / ANALYSIS.sample_rate_hz
    if missing_s > ANALYSIS.ptime_ms / 1000:
        yield f"{AUDIO_FILE} is cut short: the last {missing_s:.1f} s of the call are missing"
    if record.records_errors:
        yield f"the disk refused {record.records_errors} parts of this bundle"
    for talk in talks:
        yield from talk.settings.remarks
