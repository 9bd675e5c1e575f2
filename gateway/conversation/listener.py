"""Listener: caller frames -> turn-taking, with what the dialogue hears in between, in order."""

from __future__ import annotations

from collections.abc import Callable

from gateway.audio.format import ANALYSIS
from gateway.audio.voice_chunk import Chunk
from gateway.call import events
from gateway.call.events import fields_of
from gateway.call.live_call import LiveCall
from gateway.config.models import TurnConfig
from gateway.conversation.dialogue import Hearing
from gateway.errors import ProviderError
from gateway.providers.contracts import Expect
from gateway.turn.completeness import Wanted
from gateway.turn.events import TurnDiscarded, TurnEvent, TurnStarted
from gateway.turn.input_log import TurnInput
from gateway.turn.taker import TurnTaker

Heard = TurnEvent | ProviderError


class Listener:
    """Listens for one conversation.  Loop thread only."""

    hearing: Hearing
    """Of the dialogue: set it before the first frame."""

    def __init__(
        self,
        call: LiveCall,
        config: TurnConfig,
        silence_s: float,
        post: Callable[[Heard], None],
    ) -> None:
        self._call = call
        self._post = post
        self.taker = TurnTaker(config, silence_s)
        self.taker.log_input = self._log_input
        self.muted = False
        """True while no one is to be understood (hold)."""
        settings = {"turn": config.model_dump(mode="json"), "silence_s": silence_s}
        call.note(events.TurnTakingStarted(now=call.audio.now, settings=settings))

    def expect(self, expect: Expect) -> None:
        """Set what the dialogue expects from the next turn."""
        self._call.note(events.Expects(now=self._call.audio.now, expect=expect))
        self.taker.expect(Wanted(expect.kind, expect.digits))
        self.hearing.expect(expect)

    @property
    def may_wait(self) -> bool:
        """True while frames without sound may come up to 100 ms later."""
        return self.hearing.may_wait and self.taker.is_idle

    def may_look(self) -> bool:
        """Return whether looks ahead of the voice detector could start anything."""
        return self.taker.looks_ahead

    def on_frame(self, pcm: bytes, chunks: list[Chunk], now: int) -> None:
        """Accept one frame (the sink of the call's audio)."""
        if self.muted:
            return
        self.hearing.hear(pcm)
        awaited_end = self.taker.awaits_end
        for event in self.taker.hear(chunks, now):
            self._note(event)
            self.hearing.follow(event)
            self._post(event)
        if awaited_end and not self.taker.awaits_end:
            self.hearing.caller_goes_on()
        if self.taker.in_doubt and self.taker.is_caller_speaking:
            for observer in self._call.observers:
                observer.caller_is_heard()

    def drop_turn(self, reason: str) -> None:
        """Forget the caller turn in progress (see `TurnDiscarded.reason`).

        Keys replace a sentence with all that is still to come of it.
        """
        if self.taker.drop_turn(with_rest=reason == "replaced"):
            now = self._call.audio.now
            self._post(TurnDiscarded(now, now, reason))
        self.hearing.drop_turn()

    def mute(self) -> None:
        """Understand no one until `unmute`: the caller is on hold or being transferred."""
        self.muted = True
        self.drop_turn("held")
        self.taker.forget_speech()
        self.hearing.mute()

    def unmute(self) -> None:
        """Listen again."""
        self.muted = False
        self.taker.caller_is_there(self._call.audio.now)

    def end(self) -> None:
        """Listen no more."""
        self.hearing.close()
        self._call.note(events.TurnTakingEnded(heard=self.taker.heard))

    def _log_input(self, told: TurnInput) -> None:
        self._call.note(
            events.TurnInput(input=told.name, heard=told.heard, arguments=told.arguments)
        )

    def _note(self, event: TurnEvent) -> None:
        data = fields_of(event)  # positions in samples: a replay compares them
        if isinstance(event, TurnStarted):
            data["onset_s"] = event.onset / ANALYSIS.sample_rate_hz
        self._call.recorder.event(event.kind, event.now / ANALYSIS.sample_rate_hz, **data)
        self._call.observe(event)
