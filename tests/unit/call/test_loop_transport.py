"""A whole conversation over a transport that is not SIP: what a WebSocket line will need."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from copy import copy

import numpy as np
import pytest

from gateway.audio.format import NARROWBAND, WIDEBAND
from gateway.config.dialplans import Answer, Context, Dialplan, Talk
from gateway.config.models import AgentConfig
from gateway.conversation.actions import builtin_tools
from gateway.conversation.agent import Agent
from gateway.conversation.tools import FunctionTool, ToolBox
from gateway.conversation.voice import Voice
from gateway.dialplan.router import Route
from gateway.dialplan.runner import Runner
from gateway.dialplan.steps import StepScope
from tests.support.fake_line import LevelDetector, ScriptedModel, ScriptedRecognizer, ScriptedVoice
from tests.support.scene import GREETING, LONG, call_of, patient, text
from tests.support.session_call import SessionCall

OPENING_HOURS = "Nine to five."


async def opening_hours(day: str) -> str:
    """Say when we are open.

    Args:
        day: of the week.
    """
    return OPENING_HOURS


class BandRecognizer(ScriptedRecognizer):
    """Of 16 kHz; keeps what it was given in each turn."""

    input_format = WIDEBAND

    def __init__(self, *texts):
        super().__init__(*texts)
        self.turns = []

    @asynccontextmanager
    async def stream(self, expect):
        self.turns.append(bytearray())
        async with super().stream(expect) as stream:
            push, heard = stream.push, self.turns[-1]
            stream.push = lambda pcm: (heard.extend(pcm), push(pcm))
            yield stream


class BothBandsRecognizer(BandRecognizer):
    """Takes what the line has."""

    input_format = NARROWBAND

    def for_line(self, line_format):
        other = copy(self)
        other.input_format = line_format
        return other


def high_share(pcm):
    """Return the share of energy above the telephone band of 16 kHz audio."""
    power = np.abs(np.fft.rfft(np.frombuffer(bytes(pcm), "<i2").astype(float))) ** 2
    return power[int(len(power) * 4600 / 8000) :].sum() / power.sum()


def agent():
    llm = ScriptedModel(
        [call_of("opening_hours", '{"day": "Monday"}')],
        text("We are open from nine to five."),
        text(LONG),
        [*text("I connect you."), call_of("transfer_call", '{"target": "sales"}', "c2")],
        [*text("Goodbye."), call_of("hang_up", "{}", "c3")],
    )
    heard = ["When are you open?", "Tell me more.", "Stop, sales please.", "Then goodbye."]
    builtins = builtin_tools(("hang_up", "transfer_call"), {"sales": "sip:sales@host"})
    box = ToolBox([FunctionTool.of(opening_hours)], builtins, timeout_s=5.0)
    config = AgentConfig(greeting=GREETING, turn=patient(), transfer_failed="Nobody is there.")
    voice = Voice(ScriptedVoice())
    return Agent("bot", config, ScriptedRecognizer(*heard), llm, voice, box, LevelDetector)


@pytest.mark.parametrize("media_format", [NARROWBAND, WIDEBAND], ids=str)
def test_a_whole_conversation(tmp_path, media_format):
    plan, bot = Dialplan("bot", {"default": Context()}), agent()

    async def flow(call):
        runner = Runner(plan, StepScope(call, {"bot": bot}, "bot"))
        steps = (Answer(), Talk(agent="bot"))
        return await runner.run(Route("default", "main", steps, ""), is_answered=False)

    async def script(call):
        await call.says(2.0, 1.0)  # a question that takes a tool
        await call.says(8.0, 1.0)  # gets a long answer,
        await call.says(12.0, 1.5)  # which the caller interrupts
        await call.says(20.0, 1.0)  # after a transfer that this line cannot do
        await call.until(60)

    call = SessionCall(tmp_path, flow, media_format).play(script)
    record = call.written
    assert record == call.record
    assert (record.end_reason, record.hung_up_by) == ("bot_hung_up", "agent")
    assert (record.codec, record.agent, record.route) == ("L16", "bot", "default/main")

    greeting, *turns = [t for t in record.turns if t.bot_text_heard]
    assert greeting.bot_text_heard == GREETING
    assert [t.caller_text for t in turns if t.caller_text] == [
        "When are you open?", "Tell me more.", "Stop, sales please.", "Then goodbye.",
    ]  # fmt: skip
    asked, more, sales, failed, goodbye = turns
    assert [(u.name, u.result) for u in asked.tools] == [("opening_hours", f'"{OPENING_HOURS}"')]
    assert asked.bot_text_heard == "We are open from nine to five."
    assert more.interrupted
    assert LONG.startswith(more.bot_text_heard)
    assert more.bot_text_heard != LONG
    assert sales.bot_text_heard == "I connect you."
    assert failed.bot_text_heard == "Nobody is there."
    assert goodbye.bot_text_heard == "Goodbye."

    # The line was asked for nothing that it cannot do.
    assert [what for what, _, _ in call.line.done] == ["answer"]
    refusal = next(e for e in call.events if e["kind"] == "transfer_failed")
    assert refusal["problem"].startswith("501")
    # Both directions are recorded to the end.
    assert abs(record.audio_s - record.duration_s) < 0.1
    assert all(t.response_gap_ms for t in (asked, more, sales, goodbye))
    assert {len(frame) for frame in call.line.played} == {media_format.frame_bytes}


@pytest.mark.parametrize("kind", [BandRecognizer, BothBandsRecognizer])
@pytest.mark.parametrize("media_format", [NARROWBAND, WIDEBAND], ids=str)
def test_a_recognizer_gets_the_band_of_the_line(tmp_path, media_format, kind):
    recognizer = kind("First.", "Second.")
    llm = ScriptedModel(text("Yes."), [*text("Goodbye."), call_of("hang_up", "{}", "c")])
    box = ToolBox([], builtin_tools(("hang_up",), {}), timeout_s=5.0)
    config = AgentConfig(greeting=GREETING, turn=patient())
    bot = Agent("bot", config, recognizer, llm, Voice(ScriptedVoice()), box, LevelDetector)

    async def flow(call):
        await call.line.answer()
        runner = Runner(
            Dialplan("bot", {"default": Context()}), StepScope(call, {"bot": bot}, "bot")
        )
        return await runner.run(
            Route("default", "main", (Talk(agent="bot"),), ""), is_answered=True
        )

    async def script(call):
        await call.says(3.0, 1.0)
        await call.says(8.0, 1.0)
        await call.until(30)

    call = SessionCall(tmp_path, flow, media_format).play(script)
    assert [t.caller_text for t in call.record.turns if t.caller_text] == ["First.", "Second."]
    assert len(recognizer.turns) == 2
    for heard in recognizer.turns:
        rate_hz = max(media_format.sample_rate_hz, kind.input_format.sample_rate_hz)
        assert len(heard) > 2 * rate_hz  # the second of speech, and around it
        if rate_hz == WIDEBAND.sample_rate_hz:
            assert (high_share(heard) > 0.01) == (media_format == WIDEBAND)


def test_a_call_needs_no_sip():
    """Whatever carries a conversation may be a process without the SIP library."""
    program = (
        "import sys, gateway.call.session, gateway.call.transport, gateway.dialplan.runner\n"
        "print([m for m in sys.modules if m == 'pjsua2' or m.startswith('gateway.sip.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
