"""One whole conversation on virtual time: a line, a caller who follows a script, an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from gateway.call.call_audio import CallAudio
from gateway.call.language_watch import LanguageWatch
from gateway.call.line import CallFacts, Digit, Held, Resumed
from gateway.call.live_call import LiveCall, SayRequest
from gateway.config.models import AgentConfig, TurnConfig
from gateway.conversation.actions import builtin_tools
from gateway.conversation.agent import Agent
from gateway.conversation.conversation import Conversation
from gateway.conversation.handover import Handover
from gateway.conversation.talk import Ending
from gateway.conversation.tools import FunctionTool, ToolBox
from gateway.conversation.voice import Voice
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
)
from gateway.telemetry.metrics import Metrics
from tests.support.fake_line import (
    FakeLine,
    LevelDetector,
    NoteBook,
    ScriptedModel,
    ScriptedRecognizer,
    ScriptedVoice,
)
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import run

GREETING = "Hello there."
LONG = "This is a rather long answer that takes its time. And it has another sentence too."
DOWN = ProviderUnavailable("acme", "is down")


def patient(**changes: Any) -> TurnConfig:
    """Turn-taking at round figures: tests of conversations do not depend on today's tuning."""
    pinned = {"eager_ms": 160, "whole_ms": 480, "expected_ms": 260, "doubtful_ms": 700}
    return TurnConfig(**(pinned | changes))


class Scene:
    """One conversation and everything around it."""

    facts: CallFacts | None = None
    """None = somebody calls."""

    def __init__(
        self,
        llm: Any = (),
        heard: Any = (),
        tools: Sequence[Any] = (),
        voice: Any = None,
        engine: ScriptedEngine | None = None,
        name: str = "bot",
        others: Sequence[Scene] = (),
        **config: Any,
    ) -> None:
        self.others = {other.agent.name: other for other in others}
        """Whose agents may lead the call after this one's."""
        same = {other.config.language: other.agent for other in others if other.agent.name == name}
        self.llm = llm if hasattr(llm, "reply") else ScriptedModel(*llm)
        self.recognizer = heard if hasattr(heard, "stream") else ScriptedRecognizer(*heard)
        self.synthesizer = voice or ScriptedVoice()
        self.engine = engine
        if engine is not None:
            config = {"s2s": {"provider": "scripted"}} | config
        self.config = AgentConfig(**({"greeting": GREETING, "turn": patient()} | config))
        targets = {"sales": "sip:sales@host"}
        builtins = builtin_tools(
            (
                "hang_up",
                "transfer_call",
                "send_dtmf",
                "expect_answer",
                "change_agent",
                "change_language",
            ),
            targets,
            tuple(self.others),
            tuple(same),
        )
        functions = [FunctionTool.of(tool) for tool in tools]
        box = ToolBox(functions, builtins, timeout_s=self.config.tool_timeout_s)
        self.voice = Voice(self.synthesizer, self.config.language)
        self.agent = Agent(
            name, self.config, self.recognizer, self.llm, self.voice, box, LevelDetector,
            engine,
        )  # fmt: skip
        if same:
            same = {self.config.language: self.agent, **same}
            self.agent = replace(self.agent, languages=same)
        self.notes = NoteBook()
        self.ending: Ending | None = None
        self.held: list[list[int | None]] = []
        """Frames at which holds began and ended."""
        self.ended_s = 0.0
        """When the talk or the script was over."""

    def play(self, script: Callable[[Scene], Awaitable[None]]) -> Scene:
        """Play it; nothing may be left of it afterwards."""
        run(self._play(script))
        return self

    async def _play(self, script: Callable[[Scene], Awaitable[None]]) -> None:
        self.line = line = FakeLine()
        if self.facts is not None:
            line.facts = self.facts
        audio = CallAudio(line.inlet, self.notes.write_audio, lambda _: None)
        async with asyncio.TaskGroup() as tools, asyncio.TaskGroup() as group:
            self.call = LiveCall(line, audio, self.notes, Metrics(), group, tools)
            self.talk = self._begin(self.agent)
            self.call.control.agents = frozenset({self.agent.name, *self.others})
            self.call.control.languages = frozenset(self.agent.languages)
            if self.config.detect_language:
                watch = LanguageWatch(self.agent.languages, self.config.language)
                self.call.control.watch = watch
            talking = group.create_task(self._talk_on())
            clock = [group.create_task(line.run()), group.create_task(audio.run())]
            scripted = group.create_task(_as_coroutine(script(self)))
            await asyncio.wait([talking, scripted], return_when=asyncio.FIRST_COMPLETED)
            self.ended_s = asyncio.get_running_loop().time()
            await asyncio.sleep(0.3)
            if talking.done():
                self.ending = talking.result()
            for task in (talking, scripted):
                task.cancel()
            await asyncio.wait([talking])
            audio.settle()
            for task in clock:
                task.cancel()
        for each in (self, *self.others.values()):
            parts = (each.llm, each.synthesizer, each.recognizer, each.engine)
            assert [getattr(part, "open", 0) for part in parts] == [0, 0, 0, 0]
        assert self.talk._context._reply is None
        assert_well_formed(self.history)

    def _begin(self, agent: Agent, earlier: Handover | None = None) -> Conversation:
        if self.others:
            self.call.begin_agent(agent.name, is_recorded=True)
        return Conversation(self.call, agent, earlier)

    async def _talk_on(self) -> Ending:
        """As the dialplan's step does."""
        while not isinstance(ending := await self.talk.run(), Ending):
            name = ending.change.agent
            is_other = name in self.others and name != self.agent.name
            agent = self.others[name].agent if is_other else self.agent
            agent = agent.in_language(ending.change.language)
            self.talk = self._begin(agent, ending)
        return ending

    # --- what a script can do ---

    async def until(self, seconds: float) -> None:
        """Wait until so much of the call has passed."""
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())

    async def says(self, at_s: float, for_s: float = 1.0) -> None:
        """The caller speaks."""
        await self.until(at_s)
        self.line.speak(for_s)

    async def rustles(self, at_s: float, for_s: float = 0.1) -> None:
        """Something is heard that might be speech and is none."""
        await self.until(at_s)
        self.line.rustle(for_s)

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        self.call.inbox.put_nowait(Digit(digit, "rfc4733"))

    def hold(self) -> None:
        """The other side puts the call on hold."""
        self.call.inbox.put_nowait(Held())

    def resume(self) -> None:
        """The other side comes back."""
        self.call.inbox.put_nowait(Resumed())

    def operator_says(self, words: str) -> None:
        """The HTTP API wants something said."""
        self.call.inbox.put_nowait(SayRequest(words))

    # --- what came of it ---

    @property
    def history(self) -> tuple[Message, ...]:
        """What the next request would carry."""
        return self.talk._context.messages()

    def data(self, kind: str) -> list[dict[str, Any]]:
        """Data of all events of a kind."""
        return [data for found, _, data in self.notes.events if found == kind]

    def times(self, kind: str) -> list[float]:
        """Audio times of all events of a kind, in seconds."""
        return [at_s for found, at_s, _ in self.notes.events if found == kind]


def assert_well_formed(history: Sequence[Message]) -> None:
    """No two caller turns in a row; results follow the calls that they belong to."""
    open_calls: set[str] = set()
    for before, message in zip((None, *history), history, strict=False):
        if isinstance(message, ToolResult):
            assert message.call_id in open_calls, f"result without its call: {message}"
            open_calls.discard(message.call_id)
            continue
        assert not open_calls, f"calls without results: {open_calls}"
        if isinstance(message, UserMessage):
            assert not isinstance(before, UserMessage), f"turn in two messages: {history}"
        if isinstance(message, AssistantMessage):
            assert message.text or message.tool_calls, f"empty message: {history}"
            open_calls = {call.id for call in message.tool_calls}
    assert not open_calls


def text(*deltas: str) -> list[TextDelta]:
    """A reply of a model."""
    return [TextDelta(delta) for delta in deltas]


def call_of(name: str, arguments: str = "{}", call_id: str = "c1") -> ToolCall:
    """A model's wish to call a tool."""
    return ToolCall(call_id, name, arguments)


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
