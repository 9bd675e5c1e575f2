"""Run a fresh turn taker on the recorded inputs of a call.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from gateway.audio.format import ANALYSIS
from gateway.replay.hearing import Chunks
from gateway.replay.recording import Decision, NotReplayable, Talk, as_json
from gateway.replay.settings import Settings
from gateway.turn.events import TurnEvent
from gateway.turn.input_log import TurnInput, is_turn_input
from gateway.turn.taker import TurnTaker


class ReplayedTaker:
    """A turn taker that hears the recorded audio on a virtual clock."""

    def __init__(self, settings: Settings, chunks: Sequence[Chunks]) -> None:
        """Make a fresh turn taker.

        Args:
            settings: how it is set.
            chunks: of each frame of the call, from its first.
        """
        self.taker = TurnTaker(settings.turn, settings.silence_s)
        self._chunks = chunks
        self._frame = 0

    @property
    def now(self) -> int:
        """Audio time up to which frames were heard or passed over."""
        return self._frame * ANALYSIS.frame_samples

    def hear_until(self, position: int) -> Iterator[list[TurnEvent]]:
        """Let audio time pass; yields what each frame brought."""
        while self.now < position and self._frame < len(self._chunks):
            chunks = self._chunks[self._frame]
            self._frame += 1
            yield self.taker.hear(chunks, self.now)

    def tell(self, told: TurnInput) -> None:
        """Repeat one input.

        Raises:
            NotReplayable: this version knows no such input.
        """
        if told.name == "hear":  # the next frame that was listened to, after a hold or the like
            self._frame = int(told.arguments["now"]) // ANALYSIS.frame_samples - 1
            return
        method = getattr(TurnTaker, told.name, None)
        if not is_turn_input(method):
            raise NotReplayable(f'this version\'s turn taking knows no input "{told.name}"')
        getattr(self.taker, told.name)(**_values(told))


def decide_again(talk: Talk, chunks: Sequence[Chunks]) -> list[Decision]:
    """Return the decisions that the same settings make of the same inputs.

    Args:
        talk: as recorded.
        chunks: voice activity of the caller's audio, frame by frame.

    Raises:
        NotReplayable: it has an input that this version does not know.
    """
    replayed = ReplayedTaker(talk.settings, chunks)
    found: list[Decision] = []
    for told in talk.inputs:
        for events in replayed.hear_until(told.heard):
            found += map(decision, events)
        replayed.tell(told)
    for events in replayed.hear_until(talk.heard):
        found += map(decision, events)
    return found


def decision(event: TurnEvent) -> Decision:
    """Return an event as it is recorded."""
    return Decision(event.kind, as_json(asdict(event)))


def first_difference(
    recorded: Sequence[Decision], again: Sequence[Decision]
) -> tuple[Decision | None, Decision | None] | None:
    """Return the first pair that is not alike; fields that only one version has do not count."""
    for number in range(max(len(recorded), len(again))):
        before = recorded[number] if number < len(recorded) else None
        after = again[number] if number < len(again) else None
        if before is None or after is None or not _alike(before, after):
            return before, after
    return None


def _alike(before: Decision, after: Decision) -> bool:
    common = before.fields.keys() & after.fields.keys()
    return before.kind == after.kind and all(before.fields[k] == after.fields[k] for k in common)


def _values(told: TurnInput) -> dict[str, Any]:
    """Return the arguments with their types (a recorded dataclass is a dict)."""
    adapters = _adapters(getattr(TurnTaker, told.name))
    return {
        name: adapters[name].validate_python(value) if name in adapters else value
        for name, value in told.arguments.items()
    }


@cache
def _adapters(method: Callable[..., object]) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(method)
    return {name: TypeAdapter(hint) for name, hint in hints.items() if name != "return"}
