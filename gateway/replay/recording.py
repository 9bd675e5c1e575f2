"""Recording: what a call bundle holds of turn taking, read back and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from gateway.audio.format import LINE
from gateway.conversation.listener import EVENT_NAMES
from gateway.errors import GatewayError
from gateway.providers.contracts import Expect
from gateway.records.files import AUDIO_FILE, CALL_FILE, EVENTS_FILE, read_call, read_events
from gateway.records.model import CallRecord
from gateway.replay.settings import Settings, settings_of
from gateway.replay.stereo import Stereo, read_stereo
from gateway.turn.barge_in_words import Aside
from gateway.turn.tape import Told

_EXPECT = TypeAdapter(Expect)
_DECISIONS = frozenset(EVENT_NAMES.values())
_NO_PART_OF_IT = frozenset({"at", "audio_s", "kind", "onset_s"})


class NotReplayable(GatewayError):  # noqa: N818 (says what is wrong with the bundle)
    """A folder is no bundle, or lacks what a replay needs."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One event that turn taking gave."""

    kind: str
    fields: dict[str, Any]
    """All of it, positions in samples."""

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
    """Probability that the turn is over, where recognition has an opinion."""
    log_prob: float | None = None
    """Mean log-probability per token, where known."""
    aside: Aside | None = None
    """What a short utterance over the bot's voice was by its sound, where that was clear."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Turn taking of one conversation of the call."""

    settings: Settings
    told: tuple[Told, ...]
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
    events: tuple[dict[str, Any], ...]
    audio: Stereo
    talks: tuple[Talk, ...]
    remarks: tuple[str, ...]
    """What is not as it should be, but does not prevent a replay."""


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


def _read_events(folder: Path) -> tuple[dict[str, Any], ...]:
    try:
        return tuple(read_events(folder / EVENTS_FILE))
    except OSError as error:
        raise NotReplayable(
            f"{folder}: cannot read {EVENTS_FILE}: {error.strerror or error}"
        ) from error


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


def _talks(events: Iterable[dict[str, Any]], audio: Stereo) -> Iterator[Talk]:
    begun: list[dict[str, Any]] = []
    for event in events:
        if event["kind"] == "turn_taking_started":
            if begun:
                yield _talk(begun, audio)
            begun = [event]
        elif begun:
            begun.append(event)
    if begun:
        yield _talk(begun, audio)


def _talk(events: list[dict[str, Any]], audio: Stereo) -> Talk:
    """Read one conversation; a line that is not what it should be makes it not replayable."""
    started = events[0]
    ended = next((e for e in events if e["kind"] == "turn_taking_ended"), None)
    if ended is not None:
        events = events[: events.index(ended)]
    try:
        end = audio.samples if ended is None else min(audio.samples, int(ended["heard"]))
        told = [_told(event) for event in events if event["kind"] == "turn_input"]
        return Talk(
            settings=settings_of(started["settings"]),
            told=tuple(item for item in told if item.heard <= end),
            answers=tuple(_answers(events)),
            decisions=tuple(d for d in map(decision_of, events) if d is not None and d.now <= end),
            heard=end,
            expected=tuple(
                (int(event["now"]), _EXPECT.validate_python(event["expect"]))
                for event in events
                if event["kind"] == "expects"
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        text = f"{EVENTS_FILE}: turn taking is not recorded as expected: {error!r}"
        raise NotReplayable(text) from error


def _told(event: dict[str, Any]) -> Told:
    return Told(str(event["input"]), int(event["heard"]), dict(event["arguments"]))


def _answers(events: Iterable[dict[str, Any]]) -> Iterator[Answer]:
    was_requested = False
    asked: list[int] = []
    for event in events:
        if event["kind"] in {"final_transcript", "partial_transcript"}:
            was_requested = event["kind"] == "final_transcript"
        elif event["kind"] == "transcript_wanted":
            asked.append(event["now"])
        elif event["kind"] == "turn_input" and event["input"] == "transcript":
            yield _answer(event["arguments"], asked, was_requested=was_requested)


def _answer(said: dict[str, Any], asked: Sequence[int], *, was_requested: bool) -> Answer:
    covers, arrived = int(said["covers"]), int(said["now"])
    # It covers what was pushed before the request, less what a resampler holds back.
    request = next((now for now in asked if now >= covers), covers)
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


def decision_of(event: dict[str, Any]) -> Decision | None:
    """Give the decision that a line of `events.jsonl` holds, if any."""
    if event["kind"] not in _DECISIONS or "now" not in event:
        return None
    fields = {key: value for key, value in event.items() if key not in _NO_PART_OF_IT}
    return Decision(event["kind"], fields)


def as_json(fields: dict[str, Any]) -> dict[str, Any]:
    """Give values as they are once they have been in a file."""
    found: dict[str, Any] = json.loads(json.dumps(fields))
    return found


def _remarks(
    folder: Path,
    record: CallRecord,
    events: tuple[dict[str, Any], ...],
    audio: Stereo,
    talks: tuple[Talk, ...],
) -> Iterator[str]:
    if record.state == "active":
        yield "the call is still going on, or its worker died: only what is there is replayed"
    lines = (folder / EVENTS_FILE).read_bytes().splitlines()
    torn = sum(1 for line in lines if line.strip()) - len(events)
    if torn:
        yield f"{EVENTS_FILE}: {torn} damaged lines left out"
    last_s = max((float(event["audio_s"]) for event in events), default=0.0)
    missing_s = last_s - audio.samples / LINE.sample_rate_hz
    if missing_s > LINE.ptime_ms / 1000:
        yield f"{AUDIO_FILE} is cut short: the last {missing_s:.1f} s of the call are missing"
    if record.records_errors:
        yield f"the disk refused {record.records_errors} parts of this bundle"
    for talk in talks:
        yield from talk.settings.remarks
