"""What a call relies on in every speech-to-speech engine: a provider's tests inherit it.

A class `TestAcme(EngineContract)` needs a fixture `engine` that returns a `Subject`.  Every test
runs the provider against its double on a real loopback socket; afterwards no task and no
connection is left, no key stands in any error, and the client has kept the protocol.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
from pydantic import ValidationError

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers import registry
from gateway.providers.contracts import (
    AssistantMessage,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
)
from gateway.providers.kit import rules
from gateway.providers.speech_to_speech import (
    CallerEnded,
    CallerStarted,
    CallerText,
    EngineNotice,
    EngineUsage,
    Opening,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SpeechEvent,
    SpeechSession,
    SpeechToSpeech,
    ToolAsked,
    ToolsWithdrawn,
)
from tests.support.edge import make_certificate
from tests.support.engine_double import KEY, Abilities, EngineDouble, EngineFault, Peer

TOOL = ToolSpec(
    "opening_hours",
    "When the restaurant is open.",
    {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
)
OPENING = Opening("call-1", "You are the receptionist of Luigi's.")
LINES = [
    AudioFormat(8000, encoding="pcmu"),
    AudioFormat(8000, encoding="pcma"),
    NARROWBAND,
    AudioFormat(16_000),
]
Event = TypeVar("Event", bound=SpeechEvent)


@dataclass
class Call:
    """A session under test and the engine's side of it."""

    provider: SpeechToSpeech
    session: SpeechSession
    peer: Peer
    double: EngineDouble
    events: list[SpeechEvent] = field(default_factory=list)
    error: ProviderError | None = None
    """With which the iteration ended."""
    _seen: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def collect(self) -> None:
        try:
            async for event in self.session:
                self.events.append(event)
                self._changed.set()
        except ProviderError as error:
            self.error = error
        finally:
            self._changed.set()

    async def next(self, kind: type[Event]) -> Event:
        """Return the next event of a kind; what stands before it is passed over."""
        while True:
            for number in range(self._seen, len(self.events)):
                if isinstance(event := self.events[number], kind):
                    self._seen = number + 1
                    return event
            if self.error:
                raise AssertionError(f"no {kind.__name__}: {self.error}") from self.error
            self._changed.clear()
            await self._changed.wait()

    async def fails(self) -> ProviderError:
        """Wait for the error that ends the session."""
        while not self.error:
            self._changed.clear()
            await self._changed.wait()
        return self.error

    async def until(self, is_so: Callable[[], object]) -> None:
        while not is_so():
            assert not self.error, self.error
            self._changed.clear()
            await self._changed.wait()

    async def settles(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so, or the session has failed."""
        while not (self.error or is_so()):
            self._changed.clear()
            await self._changed.wait()

    def whole(self, tone: bytes) -> list[str]:
        """Return the replies that are over and have this much sound."""
        over = [event.reply_id for event in self.of(ReplyEnded)]
        return [each for each in over if len(self.audio(each)) >= 0.8 * len(tone)]

    async def says(self, reply_id: str, seconds: float = 0.4, text: str = "Good day.") -> str:
        """Let the engine say something whole; return the session's id of it."""
        await self.peer.say(reply_id, self.peer.tone(seconds), text)
        return (await self.next(ReplyStarted)).reply_id

    async def heard(self, reply_id: str, size: int) -> bytes:
        """Wait for so many bytes of a reply."""
        await self.until(lambda: len(self.audio(reply_id)) >= size)
        return self.audio(reply_id)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def audio(self, reply_id: str) -> bytes:
        return b"".join(part.audio for part in self.of(ReplyAudio) if part.reply_id == reply_id)

    def text(self, reply_id: str) -> str:
        found = [
            event.text
            for event in self.events
            if isinstance(event, ReplyAudio | ReplyText) and event.reply_id == reply_id
        ]
        return "".join(found)


@dataclass
class Subject:
    """A provider under test."""

    name: str
    double: type[EngineDouble]
    settings: dict[str, Any] = field(default_factory=dict)
    """Those without which it cannot be made, besides the double's."""
    kind: str = "s2s"

    @property
    def can(self) -> Abilities:
        return self.double.ABILITIES

    @property
    def module(self) -> ModuleType:
        return registry.load("s2s", self.name)

    def create(self, double: EngineDouble, **settings: object) -> SpeechToSpeech:
        table = {"provider": self.name, **self.settings, **double.settings(), **settings}
        return registry.create("s2s", table)

    def serve(
        self,
        use: Callable[[EngineDouble, SpeechToSpeech], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
        **settings: object,
    ) -> None:
        """Run `use` with a provider and its double; look for what is left behind."""

        async def run() -> None:
            double = self.double()
            double.tls = tls
            async with asyncio.timeout(30), double.running():
                provider = self.create(double, **settings)
                try:
                    await use(double, provider)
                finally:
                    await provider.close()
                    await provider.close()
                await double.all_gone()
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not [task for task in left if "gateway/" in str(task.get_coro())]
            assert double.problems == []

        asyncio.run(run())
        gc.collect()

    def call(
        self,
        use: Callable[[Call], Awaitable[None]],
        opening: Opening = OPENING,
        **settings: object,
    ) -> None:
        """Run `use` in a session."""

        async def run(double: EngineDouble, provider: SpeechToSpeech) -> None:
            async with provider.connect(opening) as session:
                assert session.turns == provider.turns
                call = Call(provider, session, await double.peer(), double)
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(call.collect())
                    await use(call)
                    task.cancel()
            if call.error:
                assert hides_the_key(call.error)

        self.serve(run, **settings)


def hides_the_key(error: BaseException) -> bool:
    return KEY not in "".join(traceback.format_exception(error))


def needs(*, ability: object) -> None:
    if not ability:
        pytest.skip("the engine's protocol has no such thing")


class EngineContract:
    """The tests."""

    @pytest.fixture(autouse=True)
    def _tries_again_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rules, "FIRST_WAIT_S", 0.01)

    # --- the file --------------------------------------------------------------------------------

    def test_the_module_says_what_it_is(self, engine: Subject):
        assert engine.module.__doc__
        assert engine.module.SUMMARY
        assert "\n" not in engine.module.SUMMARY
        assert engine.module.probe() == ""

    def test_settings_are_strict_and_frozen(self, engine: Subject):
        model = engine.module.Settings
        wanted = {"api_key": KEY, **engine.settings}
        wanted = {name: value for name, value in wanted.items() if name in model.model_fields}
        with pytest.raises(ValidationError, match="no_such_key"):
            model(**wanted, no_such_key=1)
        made = model(**wanted)
        with pytest.raises(ValidationError):
            setattr(made, next(iter(model.model_fields)), "x")
        assert KEY not in repr(made)

    def test_warming_up_costs_nothing(self, engine: Subject):
        async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
            await provider.warm_up()
            await double.all_gone()
            assert not any(peer.heard or peer.answers_asked for peer in double.peers)

        engine.serve(use)

    # --- opening ---------------------------------------------------------------------------------

    def test_it_opens_with_what_the_call_begins_with(self, engine: Subject):
        history = [
            UserMessage("Are you open on Monday?"),
            AssistantMessage("Let me see.", (ToolCall("c1", TOOL.name, '{"day": "monday"}'),)),
            ToolResult("c1", TOOL.name, '{"open": "9 to 5"}'),
            AssistantMessage("From nine to five."),
        ]
        tools = [TOOL] if engine.can.has_tools else []
        opening = replace(OPENING, messages=history, tools=tools)

        async def use(call: Call) -> None:
            if engine.can.has_instructions:
                assert "receptionist of Luigi's" in call.peer.instructions
            assert call.peer.tools == [tool.name for tool in tools]
            assert call.provider.takes_tools is engine.can.has_tools
            if engine.can.has_history:
                await call.peer.until(lambda peer: len(peer.history) >= 3)
                told = str(call.peer.history)
                spoken = ("Are you open on Monday?", "Let me see.", "From nine to five.")
                assert [told.index(text) for text in spoken] == sorted(map(told.index, spoken))

        engine.call(use, opening)

    def test_the_greeting_is_said_first(self, engine: Subject):
        needs(ability=engine.can.has_greeting)

        async def use(call: Call) -> None:
            await call.peer.until(lambda peer: peer.greeting)
            assert "Luigi's, good evening." in call.peer.greeting

        engine.call(use, replace(OPENING, greeting="Luigi's, good evening."))

    def test_without_a_greeting_it_waits(self, engine: Subject):
        async def use(call: Call) -> None:
            for _ in range(5):  # a codec needs more than one frame for its first packet
                call.session.push(silence(call.session.input_format))
            await call.peer.until(lambda peer: peer.heard)
            assert (call.peer.greeting, call.peer.answers_asked) == ("", 0)

        engine.call(use)

    # --- the caller ------------------------------------------------------------------------------

    @pytest.mark.parametrize("line", LINES, ids=str)
    def test_audio_arrives_unchanged(self, engine: Subject, line: AudioFormat):
        async def use(call: Call) -> None:
            form = call.session.input_format
            if line.encoding in engine.can.passes:
                assert str(form) == str(line)
                assert str(call.session.output_format) == str(line)
            else:
                assert form.encoding == "s16"
            assert str(call.peer.input_format) == str(form)
            sent = b"".join(bytes([n % 251] * form.frame_bytes) for n in range(50))
            for at in range(0, len(sent), form.frame_bytes):
                call.session.push(sent[at : at + form.frame_bytes])
            if engine.can.is_lossless:
                await call.peer.until(lambda peer: len(peer.heard) >= len(sent))
                assert call.peer.heard == sent
            else:
                await call.peer.until(lambda peer: len(peer.heard) >= len(sent) * 0.8)

        engine.call(use, replace(OPENING, line=line))

    def test_what_the_caller_does_is_reported(self, engine: Subject):
        async def use(call: Call) -> None:
            if engine.can.has_marks:
                await call.peer.caller_starts(300)
                started = await call.next(CallerStarted)
                assert not engine.can.has_mark_positions or started.at_ms == 300
            if engine.can.has_caller_text:
                await call.peer.caller_says("A table", is_final=False)
            if engine.can.has_marks:
                await call.peer.caller_ends(1300)
                ended = await call.next(CallerEnded)
                assert not engine.can.has_mark_positions or ended.at_ms == 1300
            if engine.can.has_caller_text:
                await call.peer.caller_says("A table for two.", is_final=True)
                await call.until(lambda: any(text.is_final for text in call.of(CallerText)))
                texts = call.of(CallerText)
                assert texts[-1].text == "A table for two."
                assert len({text.turn_id for text in texts}) == 1

        engine.call(use)

    def test_a_pause_sends_nothing_and_keeps_the_session(self, engine: Subject):
        async def use(call: Call) -> None:
            frame = silence(call.session.input_format)
            call.session.push(frame)
            call.session.pause()
            await call.says("r1")
            call.session.push(frame)
            if engine.can.is_lossless:
                await call.peer.until(lambda peer: len(peer.heard) == 2 * len(frame))
            assert not call.error

        engine.call(use)

    def test_the_gateway_can_own_turns(self, engine: Subject):
        needs(ability=engine.can.gateway_turns is not None)

        async def use(call: Call) -> None:
            assert call.session.turns == "gateway"
            frame = silence(call.session.input_format)
            for _ in range(50):
                call.session.push(frame)
            call.session.begin_turn(200)
            call.session.begin_turn(200)
            for _ in range(20):
                call.session.push(frame)
            call.session.commit()
            await call.peer.until(lambda peer: peer.commits and peer.answers_asked)
            assert len(call.peer.heard) >= 30 * len(frame)
            assert call.peer.commits == call.peer.answers_asked == 1
            await call.says("r1")

        engine.call(use, **(engine.can.gateway_turns or {}))

    # --- replies ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("piece_ms", [10, 20, 2000])
    def test_a_reply(self, engine: Subject, piece_ms: int):
        async def use(call: Call) -> None:
            tone = call.peer.tone(1.0)
            await call.peer.say("r1", tone, "Good evening, Luigi's.", piece_ms)
            started = await call.next(ReplyStarted)
            ended = await call.next(ReplyEnded)
            assert started.reply_id
            assert (ended.reply_id, ended.end) == (started.reply_id, "complete")
            assert_sounds_like(call, engine, started.reply_id, tone)
            if engine.can.has_words:
                assert call.text(started.reply_id).strip() == "Good evening, Luigi's."

        engine.call(use)

    def test_replies_have_ids_of_their_own(self, engine: Subject):
        async def use(call: Call) -> None:
            ids = []
            for number in range(3):
                ids.append(await call.says(f"r{number}"))
                await call.next(ReplyEnded)
            assert len(set(ids)) == 3
            assert [ended.reply_id for ended in call.of(ReplyEnded)] == ids

        engine.call(use)

    @pytest.mark.parametrize("end", ["interrupted", "incomplete", "failed"])
    def test_a_reply_that_is_not_finished(self, engine: Subject, end: str):
        needs(ability=engine.can.has_ends)

        async def use(call: Call) -> None:
            await call.peer.begin("r1")
            await call.peer.sound("r1", call.peer.tone(0.2))
            await call.peer.finish("r1", end)
            ended = await call.next(ReplyEnded)
            assert ended.end == end
            assert ended.problem or end == "interrupted"

        engine.call(use)

    @pytest.mark.parametrize("fault", [EngineFault.NONE, EngineFault.LATE])
    def test_a_cut(self, engine: Subject, fault: EngineFault):
        async def use(call: Call) -> None:
            call.double.fault = fault
            await call.peer.begin("r1")
            await call.peer.words("r1", "One two ")
            tone = call.peer.tone(0.5)
            await call.peer.sound("r1", tone)
            reply_id = (await call.next(ReplyStarted)).reply_id
            await call.heard(reply_id, int(len(tone) * 0.8))
            call.session.cut(reply_id, 320)
            before = call.audio(reply_id)
            if engine.can.hears_of_cuts:
                await call.peer.until(lambda peer: peer.cuts)
                assert call.peer.cuts == [320 if engine.can.hears_of_positions else None]
            await call.peer.linger("r1")
            await call.peer.finish("r1", "interrupted")
            following = await call.says("r2")
            await call.next(ReplyEnded)
            assert following != reply_id
            assert call.audio(reply_id) == before
            assert len([each for each in call.of(ReplyEnded) if each.reply_id == reply_id]) <= 1
            assert call.audio(following)

        engine.call(use)

    def test_a_cut_of_a_reply_that_is_complete(self, engine: Subject):
        async def use(call: Call) -> None:
            reply_id = await call.says("r1", 0.6)
            await call.next(ReplyEnded)
            call.session.cut(reply_id, 200)
            if engine.can.hears_of_positions:
                await call.peer.until(lambda peer: peer.cuts)
                assert call.peer.cuts == [200]
            assert await call.says("r2") != reply_id
            assert len(call.of(ReplyStarted)) == 2

        engine.call(use)

    @pytest.mark.parametrize("heard_ms", [0, 60_000])
    def test_a_cut_at_a_position_that_cannot_be(self, engine: Subject, heard_ms: int):
        async def use(call: Call) -> None:
            reply_id = await call.says("r1", 0.5)
            await call.next(ReplyEnded)
            call.session.cut(reply_id, heard_ms)
            call.session.cut(reply_id, heard_ms)
            call.session.cut("no such reply", heard_ms)
            await call.says("r2")
            assert all((cut or 0) <= 500 for cut in call.peer.cuts)

        engine.call(use)

    # --- tools and words -------------------------------------------------------------------------

    def test_a_tool(self, engine: Subject):
        needs(ability=engine.can.has_tools)

        async def use(call: Call) -> None:
            await call.peer.begin("r1")
            await call.peer.ask("r1", "c7", TOOL.name, '{"day": "monday"}')
            asked = (await call.next(ToolAsked)).call
            assert asked.name == TOOL.name
            assert json.loads(asked.arguments) == {"day": "monday"}
            result = ToolResult(asked.id, asked.name, '{"open": "9 to 5"}')
            call.session.tell([result], answer=True)
            await call.peer.finish("r1")
            await call.peer.until(lambda peer: peer.results)
            ((call_id, content),) = call.peer.results
            assert call_id == "c7"
            assert "9 to 5" in content
            assert await call.says("r2")
            assert len(call.of(ToolAsked)) == 1

        engine.call(use, replace(OPENING, tools=[TOOL]))

    def test_arguments_that_are_no_json_are_passed_on(self, engine: Subject):
        needs(ability=engine.can.has_tools)

        async def use(call: Call) -> None:
            await call.peer.begin("r1")
            with suppress(NotImplementedError):  # arguments are objects in the protocol
                await call.peer.ask("r1", "c7", TOOL.name, '{"day": ')
                assert (await call.next(ToolAsked)).call.arguments == '{"day": '

        engine.call(use, replace(OPENING, tools=[TOOL]))

    def test_a_tool_that_is_not_wanted_any_more(self, engine: Subject):
        needs(ability=engine.can.withdraws)

        async def use(call: Call) -> None:
            await call.peer.begin("r1")
            await call.peer.ask("r1", "c7", TOOL.name, '{"day": "monday"}')
            asked = await call.next(ToolAsked)
            await call.peer.withdraw(["c7"])
            assert (await call.next(ToolsWithdrawn)).call_ids == (asked.call.id,)

        engine.call(use, replace(OPENING, tools=[TOOL]))

    def test_keys_are_told(self, engine: Subject):
        async def use(call: Call) -> None:
            call.session.tell([UserMessage("42#", typed="ended")], answer=True)
            if not engine.can.takes_text:
                await call.says("r1")  # what is told locally comes with the next event at last
                await call.until(lambda: call.of(EngineNotice))
                return
            await call.peer.until(lambda peer: peer.told)
            assert "42#" in call.peer.told[-1][1]
            await call.peer.until(lambda peer: peer.answers_asked == 1)

        engine.call(use)

    def test_words_of_another_voice_are_told(self, engine: Subject):
        async def use(call: Call) -> None:
            call.session.tell([AssistantMessage("One moment, please.")], answer=False)
            if not engine.can.takes_own_words:
                await call.says("r1")
                await call.until(lambda: call.of(EngineNotice))
                return
            await call.peer.until(lambda peer: peer.told)
            assert "One moment, please." in call.peer.told[-1][1]
            assert call.peer.answers_asked == 0

        engine.call(use)

    def test_words_of_another_voice_are_never_said_again(self, engine: Subject):
        """The engine is to speak after them, of its own accord."""
        needs(ability=engine.can.takes_own_words and engine.can.takes_text)

        async def use(call: Call) -> None:
            said = AssistantMessage("One moment, please.")
            call.session.tell([said], answer=False)
            call.session.tell([], answer=True)
            await call.peer.until(lambda peer: peer.answers_asked == 1)
            await call.says("r1")
            await call.next(ReplyEnded)
            call.session.tell([said], answer=True)
            await call.peer.until(lambda peer: peer.answers_asked == 2)

        engine.call(use)

    def test_instructions_and_eagerness_change_in_mid_call(self, engine: Subject):
        async def use(call: Call) -> None:
            call.session.instruct("You are a baker.")
            call.session.set_eagerness("high")
            notices = 0
            if engine.can.takes_instructions:
                await call.peer.until(lambda peer: "baker" in peer.instructions)
            else:
                notices += 1
            if engine.can.takes_eagerness:
                await call.peer.until(lambda peer: peer.eagerness)
            else:
                notices += 1
            await call.says("r1")
            for _ in range(notices):
                await call.until(lambda: len(call.of(EngineNotice)) >= notices)
            assert not call.error

        engine.call(use)

    def test_usage_is_a_total(self, engine: Subject):
        needs(ability=engine.can.has_usage)

        async def use(call: Call) -> None:
            await call.peer.spend(100, 20, 1.5)
            first = await call.next(EngineUsage)
            await call.peer.spend(50, 5, 2.0)
            total = await call.next(EngineUsage)
            assert (total.input_tokens, total.output_tokens, total.audio_s) in {
                (150, 25, 0.0), (0, 0, 3.5), (150, 25, 3.5)
            }  # fmt: skip
            assert first != total

        engine.call(use)

    # --- faults ----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (EngineFault.REFUSED, ProviderRejected),
            (EngineFault.DOWN, ProviderUnavailable),
            (EngineFault.SLOW, ProviderTimeout),
            (EngineFault.ERROR_FIRST, ProviderRejected),
            (EngineFault.VOICE_FIRST, ProviderRejected),
            (EngineFault.GARBAGE_FIRST, ProviderProtocolError),
            (EngineFault.CLOSE_FIRST, ProviderUnavailable),
        ],
    )
    def test_it_cannot_be_opened(
        self, engine: Subject, fault: EngineFault, kind: type[ProviderError]
    ):
        async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
            double.fault = fault
            is_early = fault in {EngineFault.REFUSED, EngineFault.DOWN}
            ways = (self._connect, self._warm_up)
            for way in ways if engine.can.has_welcome or is_early else ways[:1]:
                with pytest.raises(ProviderError) as caught:
                    await way(provider)
                assert type(caught.value) is kind, caught.value
                assert hides_the_key(caught.value)
            double.fault = EngineFault.NONE
            await self._connect(provider)

        engine.serve(use, connect_timeout_s=0.3)

    @staticmethod
    async def _warm_up(provider: SpeechToSpeech) -> None:
        await provider.warm_up()

    @staticmethod
    async def _connect(provider: SpeechToSpeech) -> None:
        async with provider.connect(OPENING):
            pass

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (EngineFault.DROP, ProviderUnavailable),
            (EngineFault.WRONG_KIND, ProviderProtocolError),
            (EngineFault.GARBAGE_AUDIO, ProviderProtocolError),
            (EngineFault.HUGE, ProviderProtocolError),
            (EngineFault.IDLE, None),
            (EngineFault.LIMIT, None),
        ],
    )
    def test_it_fails_in_the_middle_of_a_reply(
        self, engine: Subject, fault: EngineFault, kind: type[ProviderError] | None
    ):
        async def use(call: Call) -> None:
            call.double.fault = fault
            await call.says("r1", 1.0)
            error = await call.fails()
            own = {EngineFault.IDLE: engine.can.idle, EngineFault.LIMIT: engine.can.limit}
            assert type(error) is (kind or own[fault]), error
            # what the dialogue still calls must not raise
            call.session.push(silence(call.session.input_format))
            call.session.cut("r1", 10)
            call.session.tell([UserMessage("1", typed="ended")], answer=True)

        engine.call(use)

    @pytest.mark.parametrize("problem", ["quota", "key", "model"])
    def test_an_error_that_ends_the_session_names_itself(self, engine: Subject, problem: str):
        needs(ability=problem in engine.can.errors)

        async def use(call: Call) -> None:
            await call.peer.error(problem)
            error = await call.fails()
            assert type(error) is engine.can.errors[problem], error
            assert problem in str(error)

        engine.call(use)

    def test_an_error_that_ends_nothing(self, engine: Subject):
        needs(ability=engine.can.has_minor_errors)

        async def use(call: Call) -> None:
            await call.peer.error("minor")
            notice = await call.next(EngineNotice)
            assert notice.text
            assert not notice.is_unknown_event
            await call.says("r1")

        engine.call(use)

    def test_events_of_unknown_types_are_counted_and_ignored(self, engine: Subject):
        async def use(call: Call) -> None:
            call.double.fault = EngineFault.UNKNOWN
            tone = call.peer.tone(0.6)
            await call.peer.say("r1", tone, "Good day.")
            reply_id = (await call.next(ReplyStarted)).reply_id
            await call.next(ReplyEnded)
            assert [notice.is_unknown_event for notice in call.of(EngineNotice)].count(True) == 1
            assert_sounds_like(call, engine, reply_id, tone)

        engine.call(use)

    def test_an_event_of_another_protocol_is_reported(self, engine: Subject):
        async def use(call: Call) -> None:
            call.double.fault = EngineFault.DIALECT
            await call.peer.say("r1", call.peer.tone(0.6))
            await call.settles(lambda: any(n.is_unknown_event for n in call.of(EngineNotice)))
            if call.error:
                assert type(call.error) is ProviderProtocolError, call.error
            else:
                assert any(notice.is_unknown_event for notice in call.of(EngineNotice))

        engine.call(use)

    def test_events_without_ids_end_nothing(self, engine: Subject):
        async def use(call: Call) -> None:
            tone = call.peer.tone(0.6)
            call.double.fault = EngineFault.NO_IDS
            await call.peer.say("r1", tone, "Good day.")
            call.double.fault = EngineFault.NONE
            await call.peer.say("r2", tone, "Good day.")
            await call.until(lambda: call.whole(tone))

        engine.call(use)

    def test_events_out_of_order_end_nothing(self, engine: Subject):
        async def use(call: Call) -> None:
            tone = call.peer.tone(0.6)
            await call.peer.finish("r0", "interrupted")
            await call.peer.words("r0", "Too early.")
            await call.peer.say("r1", tone)
            await call.until(lambda: call.whole(tone))
            (first, *_) = call.whole(tone)
            before = call.audio(first)
            await call.peer.sound("r1", call.peer.tone(0.1))
            await call.peer.words("r1", "Too late.")
            await call.peer.finish("r1", "interrupted")
            await call.peer.say("r2", tone)
            await call.until(lambda: len(call.whole(tone)) > 1)
            assert call.audio(first) == before

        engine.call(use)

    def test_a_server_that_is_not_trusted(self, engine: Subject, tmp_path: Path):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*make_certificate(tmp_path))

        async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
            with pytest.raises(ProviderRejected, match="not trusted") as caught:
                await self._connect(provider)
            assert hides_the_key(caught.value)
            assert double.attempts == 0

        engine.serve(use, tls=context)

    # --- leaving ---------------------------------------------------------------------------------

    def test_a_server_that_does_not_read_ends_the_session_at_last(self, engine: Subject):
        # What is compressed fills no buffers within a test: there the lack of pongs reports it.
        needs(ability=engine.can.is_lossless)

        async def use(call: Call) -> None:
            call.double.deafen()
            frame = bytes(range(256)) * 256
            async with asyncio.timeout(10):
                while not call.error:
                    call.session.push(frame)
                    await asyncio.sleep(0)
            assert type(call.error) in {ProviderUnavailable, ProviderTimeout}

        engine.call(use)

    @pytest.mark.parametrize("way", ["normally", "by an error", "cancelled"])
    @pytest.mark.parametrize("is_deaf", [False, True])
    def test_leaving_ends_everything(self, engine: Subject, way: str, is_deaf: bool):
        async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
            inside = asyncio.Event()

            async def call() -> None:
                async with provider.connect(OPENING) as session:
                    peer = await double.peer()
                    await peer.say("r1", peer.tone(2.0))
                    session.push(silence(session.input_format))
                    if is_deaf:
                        double.deafen()
                    inside.set()
                    if way == "cancelled":
                        async for _ in session:
                            pass
                    if way == "by an error":
                        raise LookupError

            async with asyncio.timeout(3):
                task = asyncio.ensure_future(call())
                await asyncio.wait(
                    [task, waiting := asyncio.ensure_future(inside.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                waiting.cancel()
                if way == "cancelled":
                    task.cancel()
                with suppress(asyncio.CancelledError, LookupError):
                    await task

        engine.serve(use)

    def test_cancelled_while_it_connects(self, engine: Subject):
        async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
            double.fault = EngineFault.SLOW
            task = asyncio.ensure_future(self._connect(provider))
            await double.connection()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        engine.serve(use)

    def test_sessions_do_not_disturb_each_other(self, engine: Subject):
        async def use(double: EngineDouble, provider: SpeechToSpeech) -> None:
            async def one(number: int) -> None:
                async with provider.connect(replace(OPENING, call_id=f"c{number}")) as session:
                    session.push(bytes([number]) * session.input_format.frame_bytes)
                    await gate.wait()

            gate = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(one(number))
                peers = [await double.peer(number) for number in range(3)]
                if engine.can.is_lossless:
                    for peer in peers:
                        await peer.until(lambda peer: peer.heard)
                    assert sorted(bytes(peer.heard)[0] for peer in peers) == [0, 1, 2]
                gate.set()

        engine.serve(use)


def silence(form: AudioFormat) -> bytes:
    """Return 20 ms of silence."""
    return {"s16": b"\0", "pcmu": b"\xff", "pcma": b"\xd5"}[form.encoding] * form.frame_bytes


def assert_sounds_like(call: Call, engine: Subject, reply_id: str, tone: bytes) -> None:
    found = call.audio(reply_id)
    if not engine.can.is_lossless:
        assert len(found) >= 0.8 * len(tone)
    elif engine.can.is_full_duplex:
        assert found.startswith(tone)
    else:
        assert found == tone
