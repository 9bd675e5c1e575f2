"""Calls over one provider whose vendor's double fails at random, on a clock that runs faster.

The real conversation layer leads the calls; everything but the provider under test is scripted.
A turn is answered when the bot is heard after it: with its answer, an apology or a question.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np

from gateway.audio.format import ANALYSIS
from gateway.process.agents import _fixed_texts
from gateway.providers import registry
from gateway.providers.contracts import ReplyRequest, TextDelta
from tests.support import fake_line
from tests.support.doubles import Doubled
from tests.support.engine_double import EngineFault
from tests.support.fake_line import ScriptedRecognizer
from tests.support.fast_loop import run
from tests.support.faults import Fault
from tests.support.llm_server import Answer, Call
from tests.support.scene import Scene
from tests.support.speaking_double import Saying, Script

ASKS = "Tell me more about your rooms, please."
ANSWER = "We have eleven rooms. All are by the sea."
FAULTY = 0.5
"""Part of the turns in which the vendor fails."""
CUT = 0.2
"""Part of the turns in which the caller breaks in."""
ANSWERED_S = 40.0
"""Time within which the bot must be heard: longer than all limits of a turn together."""
_TONE = (8000 * np.sign(np.sin(2 * np.pi * 700 * (np.arange(160) + 0.5) / 8000))).astype("<i2")


@dataclass
class Outcome:
    """What came of many turns."""

    turns: int = 0
    calls: int = 0
    gave_up: int = 0
    """Calls that the bot has ended with an apology, after three failures in a row."""
    unanswered: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What the client did against the protocol."""
    faults: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    """Connections, tasks and descriptors that are still there at the end."""


class _Talkative:
    """A language model that always says the same."""

    known_texts: tuple[str, ...] = ()
    counts_tokens = True

    async def warm_up(self) -> None: ...

    async def close(self) -> None: ...

    async def reply(self, request: ReplyRequest) -> AsyncIterator[TextDelta]:
        for word in ANSWER.split():
            yield TextDelta(f"{word} ")
            await asyncio.sleep(0.01)


# --- how doubles fail: each switch is one fault, and undone by `_calm` ---------------------------


def _upset_recognizer(double: Any, dice: random.Random) -> str:
    if hasattr(double, "break_at"):
        what = dice.choice([*_SOCKET_FAULTS, "break", "402", "429", "503"])
        if what == "break":
            double.break_at = dice.choice(["start", "word", "eager", "end"])
        elif what.isdigit():
            double.status = HTTPStatus(int(what))
        else:
            double.fault, double.faults_left = Fault(what), 1
        return what
    what = dice.choice(["401", "429", "500", "html", "hang"])
    double.hangs = what == "hang"
    if what != "hang":
        double.status = int(what) if what.isdigit() else 200
        double.body = '{"error": {"message": "no"}}' if what.isdigit() else "<html>no</html>"
    return what


def _calm_recognizer(double: Any) -> None:
    if hasattr(double, "break_at"):
        double.break_at, double.status, double.fault = "", None, Fault.NONE
    else:
        double.hangs, double.status, double.body = False, 200, ""


def _upset_voice(double: Any, dice: random.Random) -> str:
    troubles = ["quota", "rate", "voice", "key"]
    what = dice.choice([*_SOCKET_FAULTS, "slow", *troubles, "mute", "late"])
    if what in troubles:
        double.trouble = what
    elif what == "mute":
        double.is_mute = True
    elif what == "late":
        double.is_late = True
    else:
        double.fault = Fault(what)
    return what


def _calm_voice(double: Any) -> None:
    double.trouble, double.is_mute, double.is_late, double.fault = "", False, False, Fault.NONE


_ANSWERS: dict[str, Answer] = {
    "401": Answer(status=401),
    "402": Answer(status=402),
    "429": Answer(status=429, headers=(("Retry-After", "1"),)),
    "500": Answer(status=500),
    "html": Answer(raw=b"<html>502 Bad Gateway</html>"),
    "hang": Answer(hang=True),
    "stall": Answer(ANSWER, stall_after=4),
    "close": Answer(ANSWER, close_after=4),
    "error": Answer(ANSWER, error_after=4, error={"message": "overloaded"}),
    "empty": Answer(""),
    "slow": Answer(ANSWER, first_token_ms=1500),
    "tool": Answer(calls=(Call("no_such_tool"),)),
    "bad tool": Answer(calls=(Call("hang_up", "{"),)),
}


def _upset_model(double: Any, dice: random.Random) -> str:
    what = dice.choice(list(_ANSWERS))
    double.script.append(_ANSWERS[what])
    return what


def _calm_model(double: Any) -> None:
    double.script.clear()


def _upset_engine(double: Any, dice: random.Random) -> str:
    never = {EngineFault.NONE, EngineFault.DEAF}
    fault = dice.choice([each for each in EngineFault if each not in never])
    double.fault = fault
    double.is_faulty_once = True
    return str(fault)


def _calm_engine(double: Any) -> None:
    double.fault = EngineFault.NONE


_SOCKET_FAULTS = [Fault.REFUSED, Fault.DOWN, Fault.STALL, Fault.GARBAGE, Fault.CLOSE]
_UPSET: dict[str, tuple[Callable[[Any, random.Random], str], Callable[[Any], None]]] = {
    "stt": (_upset_recognizer, _calm_recognizer),
    "tts": (_upset_voice, _calm_voice),
    "llm": (_upset_model, _calm_model),
    "s2s": (_upset_engine, _calm_engine),
}
_QUICK: dict[str, dict[str, object]] = {"tts": {"timeout_s": 5.0}, "llm": {}}
"""Settings that keep the waits of a failing vendor short."""


class Storm:
    """Calls with one provider and a double of its vendor that fails at random."""

    def __init__(self, doubled: Doubled, seed: int, turns: int, turns_per_call: int = 10) -> None:
        self._doubled = doubled
        self._dice = random.Random(seed)
        self._left = turns
        self._per_call = turns_per_call
        self._upset, self._calm = _UPSET[doubled.kind]
        self.outcome = Outcome()

    def run(self, speed: float, at_once: int = 2) -> Outcome:
        """Make the calls, as many at once, and look for what is left of them."""
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
        with _voiced():
            run(self._run(at_once), speed)
        after = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        if after > before:
            self.outcome.left.append(f"{after - before} descriptors")
        return self.outcome

    async def _run(self, at_once: int) -> None:
        self._double = double = self._made()
        async with self._doubled.running(double):
            table = self._doubled.table(double)
            fields = registry.load(self._doubled.kind, self._doubled.name).Settings.model_fields
            quick = _QUICK.get(self._doubled.kind, {})
            table |= {key: value for key, value in quick.items() if key in fields}
            provider = registry.create(self._doubled.kind, table)  # type: ignore[call-overload]
            voice = self._scene(provider).voice
            await voice.render_ahead(_fixed_texts(self._scene(provider).config))
            self._fixed = voice._rendered
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(self._calls(provider))
            self._calm(double)
            await provider.close()
            await self._look_for_rest(double)
        self.outcome.problems += getattr(double, "problems", [])

    async def _look_for_rest(self, double: Any) -> None:
        if hasattr(double, "all_gone"):
            try:
                async with asyncio.timeout(20):
                    await double.all_gone()
            except TimeoutError:
                self.outcome.left.append("connections")
        elif getattr(double, "open_connections", 0):
            await asyncio.sleep(2)
            if double.open_connections:
                self.outcome.left.append(f"{double.open_connections} connections")
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        ours = [str(task) for task in tasks if "/gateway/" in str(task.get_coro())]
        self.outcome.left += ours

    def _made(self) -> Any:
        match self._doubled.kind:
            case "stt":
                return self._doubled.double([ASKS] * 20_000)
            case "s2s":
                return self._doubled.double(
                    Script(turns=[(ASKS, Saying(ANSWER))], told={"": Saying(ANSWER)})
                )
            case "llm":
                return self._doubled.double(default=Answer(ANSWER, token_ms=10))
            case _:
                return self._doubled.double()

    async def _calls(self, provider: Any) -> None:
        while self._left > 0:
            count = min(self._per_call, self._left)
            self._left -= count
            self.outcome.calls += 1
            scene = self._scene(provider)
            scene.voice._rendered.update(self._fixed)
            await scene._play(lambda scene, count=count: self._caller(scene, count))
            ending = scene.ending
            if ending is not None:
                self.outcome.gave_up += 1
                self._left += max(0, count - scene.asked)  # type: ignore[attr-defined]

    def _scene(self, provider: Any) -> Scene:
        kind = self._doubled.kind
        own = {"llm": "llm", "stt": "heard", "tts": "voice", "s2s": "engine"}[kind]
        parts: dict[str, Any] = {"llm": _Talkative(), "heard": ScriptedRecognizer(*[ASKS] * 500)}
        config: dict[str, Any] = {"llm_timeout_s": 3.0, "fallback": "Sorry, once more please."}
        parts[own] = provider
        scene = Scene(**parts, **config)
        scene.asked = 0  # type: ignore[attr-defined]
        return scene

    async def _caller(self, scene: Scene, count: int) -> None:
        await self._heard(scene, 0, "the greeting")
        for _ in range(count):
            if scene.ending is not None:
                return
            fault = ""
            if self._dice.random() < FAULTY:
                fault = self._upset(self._double, self._dice)
            self.outcome.faults[str(fault) or "none"] += 1
            before = scene.line.heard_s
            scene.line.speak(0.6)
            await asyncio.sleep(0.6)
            scene.asked += 1  # type: ignore[attr-defined]
            self.outcome.turns += 1
            await self._heard(scene, before, fault or "no fault")
            self._calm(self._double)
            if self._dice.random() < CUT:
                await asyncio.sleep(self._dice.uniform(0.0, 0.6))  # and the next turn breaks in
            else:
                await self._quiet(scene)

    async def _heard(self, scene: Scene, before_s: float, why: str) -> None:
        """Wait until the bot is heard, or has ended the call."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + ANSWERED_S
        while scene.line.heard_s <= before_s and not scene.line.done:
            if loop.time() > due_s:
                kinds = [kind for kind, _, _ in scene.notes.events][-25:]
                self.outcome.unanswered.append(f"{why}: {kinds}")
                return
            await asyncio.sleep(0.1)

    async def _quiet(self, scene: Scene) -> None:
        """Wait until the bot has said all of it."""
        while True:
            before_s = scene.line.heard_s
            await asyncio.sleep(0.4)
            if scene.line.heard_s == before_s:
                return


@contextmanager
def _voiced() -> Iterator[None]:
    """Let callers speak in a tone that outlives resampling."""
    before = fake_line.SPEECH
    fake_line.SPEECH = _TONE.tobytes()
    assert len(fake_line.SPEECH) == ANALYSIS.frame_bytes
    try:
        yield
    finally:
        fake_line.SPEECH = before
