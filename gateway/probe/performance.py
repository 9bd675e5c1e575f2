"""Acts a scenario out on a call: says the lines, waits, interrupts, presses, hangs up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from gateway.probe import scenario, voices
from gateway.probe.caller import Call
from gateway.probe.g711 import Samples
from gateway.probe.listener import BotListener
from gateway.probe.media import RtpPeer
from gateway.probe.sdp import Direction
from gateway.probe.timeline import Instants, Turn, loud_instants, measure_turns

_LONGEST_SPEECH_S = 120.0
Emit = Callable[[str, Mapping[str, object]], None]
"""Takes an event's name and its fields."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something the caller said, and the sender's ticks that carried it."""

    text: str
    first_tick: int
    last_tick: int


class _CallOver(Exception):  # noqa: N818 - control flow inside this module
    """The other side hung up in mid-script."""


class Performance:
    """One scenario on one call."""

    def __init__(
        self,
        call: Call,
        media: RtpPeer,
        speech: Mapping[scenario.Step, Samples],
        emit: Emit,
    ) -> None:
        self.lines: list[Line] = []
        self.problems: list[str] = []
        """Waits that ran into their limit."""
        self.digits = ""
        """What the bot pressed (RFC 4733)."""
        self.listener = BotListener(
            lambda at: emit("bot_started", {"at_ns": at}),
            lambda at: emit("bot_stopped", {"at_ns": at}),
        )
        self._call, self._media = call, media
        self._speech, self._emit = speech, emit
        self._spoke_until_ns = 0
        media.on_audio = self.listener.push
        media.on_digit = self._take_digit

    async def run(self, script: scenario.Scenario) -> None:
        """Act out every step; end the call if it is still up."""
        try:
            for step in script.steps:
                await self._act(step)
        except _CallOver:
            self._emit("call_over", {"by": self._call.ended_by})
        await self._call.hang_up()

    async def _act(self, step: scenario.Step) -> None:  # noqa: C901 - one line per step
        match step:
            case scenario.Say():
                await self._say(step, step.text)
            case scenario.Play():
                await self._say(step, step.file.stem)
            case scenario.WaitForBot():
                await self._wait_for_bot(step)
            case scenario.InterruptAfter():
                await self._until(
                    lambda: self._bot_speech_ms() >= step.bot_speech_ms,
                    step.timeout_s,
                    "bot to speak long enough",
                )
            case scenario.Press():
                await self._press(step)
            case scenario.Pause():
                end = time.monotonic_ns() + step.ms * 1_000_000
                await self._until(lambda: time.monotonic_ns() >= end, None, "pause")
            case scenario.Hold():
                await self._change("hold", direction=step.direction)
            case scenario.Resume():
                await self._change("resume")
            case scenario.SwitchCodec():
                await self._change("switch_codec", codecs=(step.codec,))
            case scenario.HangUp():
                await self._call.hang_up()
                raise _CallOver
            case scenario.ExpectHangup():
                await self._until(lambda: False, step.timeout_s, "gateway to hang up")
            case _:
                assert_never(step)

    async def _say(self, step: scenario.Step, text: str) -> None:
        first, last = self._media.play(self._speech[step])
        self.lines.append(Line(text, first, last))
        self._emit("said", {"text": text})
        await self._until(lambda: len(self._media.sent) > last, None, "speech")
        self._spoke_until_ns = time.monotonic_ns()

    async def _wait_for_bot(self, step: scenario.WaitForBot) -> None:
        since = self._spoke_until_ns
        await self._until(
            lambda: self.listener.has_spoken_since(since), step.timeout_s, "bot to answer"
        )
        await self._until(
            lambda: self.listener.is_quiet_for(time.monotonic_ns(), step.silence_ms),
            _LONGEST_SPEECH_S,
            "bot to finish",
        )
        if self.lines and since:
            self._emit("turn", turn_fields(self.lines[-1].text, self._last_turn()))

    async def _press(self, step: scenario.Press) -> None:
        self._emit("pressed", {"digits": step.digits, "method": step.method})
        if step.method == "rfc4733":
            self._media.press(step.digits)
            await self._until(lambda: not self._media.queued_s, None, "digits")
        else:
            for digit in step.digits:
                await self._call.send_info_digit(digit)
        self._spoke_until_ns = time.monotonic_ns()

    async def _change(
        self,
        word: str,
        direction: Direction = "sendrecv",
        codecs: tuple[str, ...] = (),
    ) -> None:
        final = await self._call.change(direction, codecs)
        self._emit(word, {"status": final.status})
        if final.status >= 300:
            self.problems.append(f"{word}: {final.status} {final.reason}")

    async def _until(self, is_done: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        """Wait tick by tick; the end of the call ends the script."""
        try:
            async with asyncio.timeout(timeout_s):
                while not is_done():
                    if self._call.ended.is_set():
                        raise _CallOver
                    await self._media.next_tick()
                    self.listener.advance(time.monotonic_ns())
        except TimeoutError:
            problem = f"waited {timeout_s:g} s in vain for the {what}"
            self.problems.append(problem)
            self._emit("problem", {"text": problem})

    def _bot_speech_ms(self) -> float:
        start = self.listener.spurt_start_ns
        return -1.0 if start is None else (time.monotonic_ns() - start) / 1e6

    def _last_turn(self) -> Turn | None:
        """Measure the last line alone: cheap enough for the middle of a call."""
        line = self.lines[-1]
        caller = spoken_instants(self._media, line)
        if not len(caller):
            return None
        since = int(caller[0]) - 5_000_000_000
        recent = [p.audio for p in self._media.received if p.audio and p.at_ns > since]
        return measure_turns([caller], loud_instants(recent))[0]

    def _take_digit(self, digit: str) -> None:
        self.digits += digit
        self._emit("bot_pressed", {"digit": digit})


async def render_lines(script: scenario.Scenario) -> dict[scenario.Step, Samples]:
    """Render everything that a scenario says, before the call.  Raises ProviderUnavailable."""
    speech: dict[scenario.Step, Samples] = {}
    for step in dict.fromkeys(script.steps):  # a line that is said again is rendered once
        if isinstance(step, scenario.Say):
            speech[step] = await voices.render(step.text, step.voice or script.voice)
        elif isinstance(step, scenario.Play):
            speech[step] = voices.read_wav(step.file)
    return speech


def spoken_instants(media: RtpPeer, line: Line) -> Instants:
    """Loud instants of one line as it was sent."""
    return loud_instants(media.sent[line.first_tick : line.last_tick + 1])


def turn_fields(text: str, turn: Turn | None) -> dict[str, object]:
    """One turn for an event or a report."""
    fields: dict[str, object] = {"text": text}
    if turn is not None:
        fields["response_gap_ms"] = _rounded(turn.response_gap_ms)
        fields["barge_in_stop_ms"] = _rounded(turn.barge_in_stop_ms)
        fields["heard_after_stop_ms"] = _rounded(turn.heard_after_stop_ms)
    return fields


def _rounded(value_ms: float | None) -> float | None:
    return None if value_ms is None else round(value_ms, 1)
