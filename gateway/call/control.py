"""CallControl: what is done to a call besides talking, for tools, dialplan and API alike.

Transfers and keys take time, so each is a task of the call; beginning and end are posted to what
runs the call, which mutes, waits and goes on.  Nothing here blocks a handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from gateway.audio.ringing import RINGING_TONES
from gateway.audio.tones import key_tone
from gateway.call import events
from gateway.call.language_watch import LanguageWatch
from gateway.call.line import Line
from gateway.call.media import Lane
from gateway.config.models import TransferConfig
from gateway.errors import CommandError, SipError, TransferFailed
from gateway.languages import closest
from gateway.telemetry.logging import masked

log = structlog.get_logger(__name__)

By = Literal["agent", "dialplan", "api", "recognizer"]
"""The source of a request."""
OnSettings = Callable[[Mapping[str, Any], By], Awaitable[tuple[str, ...]]]
_KEY_MS, _PAUSE_MS = 160, 80
_FADE_S = 0.04
"""What was being said is ramped down first."""
_TONE_AFTER_S = 1.0
"""Silence before the first ring: the announcement has just been heard."""
_LOOK_AGAIN_S = 0.2
"""Between two looks whether speech is over that the tone must not cut."""


@dataclass(frozen=True, slots=True)
class ControlBegan:
    """A transfer or keys are under way."""

    what: Literal["transfer", "digits"]
    by: By


@dataclass(frozen=True, slots=True)
class ControlEnded:
    """It has come to its end."""

    what: Literal["transfer", "digits"]
    by: By
    detail: str
    """Target or digits."""
    error: SipError | None = None


@dataclass(frozen=True, slots=True)
class AgentWanted:
    """Another agent is to lead the call."""

    agent: str
    by: By
    cut: bool = False
    """What the bot is saying is cut, not finished."""


@dataclass(frozen=True, slots=True)
class LanguageWanted:
    """The call is to go on in another language."""

    language: str
    by: By
    cut: bool = False
    """What the bot is saying is cut, not finished."""


class CallControl:
    """Acts on one call; one thing at a time.  Loop thread only."""

    def __init__(
        self,
        line: Line,
        group: asyncio.TaskGroup,
        note: Callable[[events.Event], None],
        post: Callable[[ControlBegan | ControlEnded | AgentWanted | LanguageWanted], None],
    ) -> None:
        self._line = line
        self._group = group
        self._note = note
        self._post = post
        self._turn = asyncio.Lock()
        self._pending = 0
        self._tasks: set[asyncio.Task[ControlEnded]] = set()
        self._is_transferring = False
        self.settings = TransferConfig()
        """Of transfers that do not bring their own."""
        self.agents: frozenset[str] = frozenset()
        """Names of those that may lead the call, while one does."""
        self.on_settings: OnSettings | None = None
        """Changes the settings of the agent that leads the call, while one does."""
        self.languages: frozenset[str] = frozenset()
        """That the agent may go on in which leads the call now (BCP 47)."""
        self.watch: LanguageWatch | None = None
        """Where its recognizer's detection counts."""

    @property
    def is_busy(self) -> bool:
        """True while something is under way or waits for its turn."""
        return self._pending > 0

    @property
    def is_transferring(self) -> bool:
        """True while the caller waits for another party."""
        return self._is_transferring

    def transfer(
        self, target: str, by: By, settings: TransferConfig | None = None
    ) -> asyncio.Task[ControlEnded]:
        """Begin a blind transfer; the task's result says how it ended.

        The task never raises an error; it is cancelled when the call ends first.
        """
        is_second, self._is_transferring = self._is_transferring, True
        if is_second:
            error = TransferFailed(491, "another transfer is in progress")
            return self._begin(self._refused(ControlEnded("transfer", by, target, error)))
        return self._begin(self._transfer(target, by, settings or self.settings))

    def send_digits(self, digits: str, by: By) -> asyncio.Task[ControlEnded]:
        """Begin to send keys; see `transfer`."""
        return self._begin(self._send_digits(digits, by))

    def change_agent(self, agent: str, by: By, *, cut: bool = False) -> None:
        """Let another agent lead the call, with the history.

        Args:
            agent: its name.
            by: the source of the request.
            cut: cut what the bot is saying; otherwise it is finished first.

        Raises:
            CommandError: no agent leads the call now, or there is none of this name.
        """
        if not self.agents or self._is_transferring:
            raise CommandError(409, "no agent talks in this call now")
        if agent not in self.agents:
            known = ", ".join(sorted(self.agents))
            raise CommandError(422, f'there is no agent "{agent}"; there are: {known}')
        self._post(AgentWanted(agent, by, cut))

    async def change_settings(self, wanted: Mapping[str, Any], by: By) -> tuple[str, ...]:
        """Go by other settings of the agent that leads the call, from its next turn on.

        Args:
            wanted: a part of an `[agents.NAME]` table.
            by: the source of the request.

        Returns:
            Dotted keys of what is different now.

        Raises:
            CommandError: no agent leads the call now, or a setting is wrong: nothing changes.
            ProviderError: an engine refuses them, or cannot be reached: nothing changes.
        """
        if self.on_settings is None or self._is_transferring:
            raise CommandError(409, "no agent talks in this call now")
        return await self.on_settings(wanted, by)

    def change_language(self, language: str, by: By, *, cut: bool = False) -> None:
        """Go on in another language: recognizer, voice, texts and words of turn taking follow.

        Args:
            language: BCP 47; a region that is not known is left out.
            by: the source of the request.
            cut: cut what the bot is saying; otherwise it is finished first.

        Raises:
            CommandError: no agent leads the call now, or it does not speak this language.
        """
        if not self.agents or self._is_transferring:
            raise CommandError(409, "no agent talks in this call now")
        known = closest(language, self.languages)
        if known is None:
            others = ", ".join(sorted(self.languages)) or "none: `languages` of the agent is empty"
            raise CommandError(422, f'the agent does not speak "{language}"; it may: {others}')
        self._post(LanguageWanted(known, by, cut))

    def heard_language(self, language: str, text: str, *, is_final: bool) -> None:
        """Go on in the language in which the caller speaks, where the agent is set to.

        Args:
            language: as the recognizer reports it; empty = it does not.
            text: of the turn so far.
            is_final: it is all of the turn.
        """
        if self.watch is None or not self.agents or self._is_transferring:
            return
        wanted = self.watch.heard(language, text, is_final=is_final)
        if wanted is not None:
            self.change_language(wanted, "recognizer")

    def end(self) -> None:
        """Cancel what is under way: the call ends now and does not wait for it."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, what: Coroutine[None, None, ControlEnded]) -> asyncio.Task[ControlEnded]:
        self._pending += 1
        task = self._group.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _refused(self, end: ControlEnded) -> ControlEnded:
        self._pending -= 1
        return end

    async def _transfer(self, target: str, by: By, settings: TransferConfig) -> ControlEnded:
        end = ControlEnded("transfer", by, target)
        try:
            async with self._turn:
                self._note(events.TransferStarted(target=target, by=by))
                self._post(ControlBegan("transfer", by))
                if "transfer" not in self._line.can:
                    raise TransferFailed(501, "this kind of call cannot be transferred")
                ringing = self._group.create_task(self._ring(settings))
                try:
                    await self._line.transfer(target, settings.timeout_s)
                finally:
                    ringing.cancel()
        except SipError as error:
            end = ControlEnded("transfer", by, target, error)
            shown = masked(target)
            log.warning("transfer_failed", target=shown, problem=str(error).replace(target, shown))
            self._note(events.TransferFailed(target=target, problem=str(error), by=by))
        else:
            self._note(events.Transferred(target=target, by=by))
        finally:
            self._pending -= 1
            self._is_transferring = False
        self._post(end)
        return end

    async def _ring(self, settings: TransferConfig) -> None:
        """Play the ringing tone to the caller; speech goes before it."""
        tone = RINGING_TONES.get(settings.tone)
        if tone is None:
            return
        frames = tone.frames()
        await asyncio.sleep(_TONE_AFTER_S)
        while True:
            while self._line.outlet.is_busy:  # noqa: ASYNC110 (the clock has no events)
                await asyncio.sleep(_LOOK_AGAIN_S)
            lane = self._line.outlet.open()
            try:
                for frame in frames:
                    await lane.write(frame)
                await lane.played_out()
                await asyncio.sleep(tone.off_s)
            finally:
                if not lane.closed:
                    self._line.outlet.clear()

    async def _send_digits(self, digits: str, by: By) -> ControlEnded:
        end = ControlEnded("digits", by, digits)
        try:
            async with self._turn:
                self._post(ControlBegan("digits", by))
                # Keys take the place of audio in the stream: what was said meanwhile would be lost.
                with self._line.outlet.aside() as lane:
                    await asyncio.sleep(_FADE_S)
                    if "digits" in self._line.can:
                        await self._line.send_digits(digits)
                    else:
                        await self._sound(lane, digits)
        except asyncio.CancelledError:
            self._note(events.DigitsNotSent(digits=digits, problem="the call has ended", by=by))
            raise
        except SipError as error:
            end = ControlEnded("digits", by, digits, error)
            log.warning("digits_not_sent", problem=str(error))
            self._note(events.DigitsNotSent(digits=digits, problem=str(error), by=by))
        else:
            self._note(events.DigitsSent(digits=digits, by=by))
        finally:
            self._pending -= 1
        self._post(end)
        return end

    async def _sound(self, lane: Lane, digits: str) -> None:
        for digit in digits:
            for frame in key_tone(digit, _KEY_MS, _PAUSE_MS):
                await lane.write(frame)
        await lane.played_out()
