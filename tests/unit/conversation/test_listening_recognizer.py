"""A recognizer with turn detection of its own, in conversations: it listens all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import Transcript, TurnMark, UserMessage
from tests.support.fake_line import ScriptedRecognizer
from tests.support.scene import Scene, patient, text

ASKS = "What are your opening hours?"
FRAME = NARROWBAND.frame_samples
END_FRAMES = 25
"""500 ms of silence end a turn: later than our own turn taking with `patient`."""


class _Listening:
    """Hears by level; its words are those of its recognizer's script, one text for each turn."""

    def __init__(self, recognizer: EnergyRecognizer) -> None:
        self._recognizer = recognizer
        self._found: asyncio.Queue[Transcript | TurnMark | Exception] = asyncio.Queue()
        self._samples = self._quiet = 0
        self._is_speech = False

    def push(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), 2 * FRAME):
            self._hear(np.frombuffer(pcm[at : at + 2 * FRAME], "<i2"))

    def _hear(self, frame: Any) -> None:
        self._samples += len(frame)
        self._recognizer.heard_samples += len(frame)
        if abs(frame.astype(int)).max() > 4000:
            self._quiet = 0
            if not self._is_speech:
                self._is_speech = True
                self._found.put_nowait(TurnMark("start", "", self._samples))
            if self._recognizer.lose_at_frame == self._samples // FRAME:
                self._recognizer.lose_at_frame = 0
                self._found.put_nowait(ProviderUnavailable("acme", "gone"))
        elif self._is_speech:
            self._quiet += 1
            if self._quiet == END_FRAMES - 10:
                self._mark("eager_end", self._recognizer.texts[0])
            elif self._quiet == END_FRAMES:
                self._mark("end", self._recognizer.texts.pop(0))
                self._is_speech = False

    def _mark(self, kind: Any, words: str) -> None:
        self._found.put_nowait(Transcript(words, self._samples))
        self._found.put_nowait(TurnMark(kind, words, self._samples))

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        words = self._recognizer.texts[0] if self._is_speech else ""
        self._found.put_nowait(Transcript(words, self._samples, requested=True))

    def caller_goes_on(self) -> None: ...

    def turn_over(self) -> None:
        self._recognizer.turns_over += 1
        if self._is_speech:  # ended by us: its text is used up
            self._recognizer.texts.pop(0)
            self._is_speech = False

    async def __aiter__(self) -> AsyncIterator[Transcript | TurnMark]:
        while True:
            found = await self._found.get()
            if isinstance(found, Exception):
                raise found
            yield found


class EnergyRecognizer(ScriptedRecognizer):
    hears_turns = True

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.sessions = self.turns_over = self.heard_samples = self.lose_at_frame = 0
        self.opened = 0

    def listening(self) -> EnergyRecognizer:
        return self

    @asynccontextmanager
    async def open_session(self, call_id: str) -> AsyncIterator[EnergyRecognizer]:
        self.sessions += 1
        yield self

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[_Listening]:
        self.opened += 1
        yield _Listening(self)


async def one_turn(scene: Scene) -> None:
    await scene.says(3, 1.0)
    await scene.until(8)


def said(scene: Scene) -> list[str]:
    return [each.text for each in scene.history if isinstance(each, UserMessage)]


def play(recognizer: EnergyRecognizer, by: str, script: Any = one_turn) -> Scene:
    scene = Scene([text("Nine to five."), text("Yes.")], recognizer, turn=patient(by=by))
    return scene.play(script)


@pytest.mark.parametrize(
    ("by", "evidence"), [("recognizer", "recognizer"), ("both", "whole"), ("gateway", "")]
)
def test_each_setting_answers_the_caller(by, evidence):
    recognizer = EnergyRecognizer(ASKS)
    scene = play(recognizer, by)
    assert said(scene) == [ASKS]
    ended = [data["evidence"] for kind, _, data in scene.notes.events if kind == "turn_ended"]
    assert ended == [evidence or "whole"]
    assert recognizer.opened == (by != "gateway")


def test_it_is_told_of_everything_from_the_first_frame():
    recognizer = EnergyRecognizer(ASKS)
    play(recognizer, "recognizer")
    assert recognizer.heard_samples >= 7.5 * 8000


def test_a_turn_whose_connection_is_lost_is_heard_from_its_beginning():
    recognizer = EnergyRecognizer(ASKS)
    recognizer.lose_at_frame = 190  # in the middle of what the caller says at 3 s
    scene = play(recognizer, "recognizer")
    assert said(scene) == [ASKS]
    assert (recognizer.sessions, recognizer.opened) == (2, 2)
    assert scene.notes.kinds().count("recognizer_lost") == 1


def test_what_is_said_on_hold_is_not_heard():
    recognizer = EnergyRecognizer(ASKS, "Still there?")

    async def script(scene: Scene) -> None:
        await scene.until(3)
        scene.hold()
        await scene.says(3.5, 1)
        await scene.until(6)
        scene.resume()
        await scene.says(7, 1)
        await scene.until(11)

    scene = play(recognizer, "recognizer", script)
    assert said(scene) == [ASKS]
    assert recognizer.opened == 2


def test_a_caller_interrupts_by_its_start():
    recognizer = EnergyRecognizer(ASKS)

    async def script(scene: Scene) -> None:
        await scene.says(0.3, 1)
        await scene.until(6)

    scene = play(recognizer, "recognizer", script)
    assert said(scene) == [ASKS]
    evidence = [data["evidence"] for kind, _, data in scene.notes.events if "confirmed" in kind]
    assert evidence == ["recognizer"]


def test_an_agent_whose_recognizer_has_no_turns_is_not_deaf():
    scene = Scene([text("Yes.")], ["One."], turn=patient(by="recognizer")).play(one_turn)
    assert said(scene) == ["One."]
