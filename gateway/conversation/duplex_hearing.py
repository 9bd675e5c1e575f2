"""EngineHearing: the caller's audio on its way to an engine that hears by itself."""

from __future__ import annotations

from collections.abc import Callable

from gateway.call.live_call import LiveCall
from gateway.config.models import Eagerness
from gateway.conversation.speech_link import SpeechLink
from gateway.providers.contracts import Expect
from gateway.turn.events import TurnEvent, TurnStarted, samples


class EngineHearing:
    """Sends every frame, speech or not.  Satisfies `Hearing`; there are no words of ours."""

    def __init__(
        self,
        link: SpeechLink,
        call: LiveCall,
        preroll_ms: int,
        on_frame: Callable[[], bool],
        may_wait: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            link: to the engine.
            call: whose audio time counts.
            preroll_ms: audio before detected speech that belongs to it.
            on_frame: called with each frame; returns whether neither side says anything.
            may_wait: returns whether the caller's silence matters to no one.
        """
        self._link = link
        self._call = call
        self._preroll = samples(preroll_ms)
        self._on_frame = on_frame
        self._may_wait = may_wait

    @property
    def may_wait(self) -> bool:
        """True while silence is sent in longer messages."""
        return self._link.is_calm

    def hear(self, pcm: bytes) -> None:
        """Send one frame."""
        is_idle, now = self._on_frame(), self._call.audio.now
        self._link.push(pcm, now, is_idle=is_idle, may_wait=self._may_wait())

    def follow(self, event: TurnEvent) -> None:
        """Report the beginning of a turn; all else is the dialogue's."""
        if isinstance(event, TurnStarted):
            self._link.begin_turn(max(0, event.onset - self._preroll))

    def caller_goes_on(self) -> None:
        """No transcript was asked for."""

    def expect(self, expect: Expect) -> None:
        """The engine knows what it has asked for."""

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Pass it on; what our turn taker learns of the caller is medium to an engine."""
        self._link.set_eagerness("medium" if eagerness == "auto" else eagerness)

    def reopen(self, onset: int) -> None:
        """The engine has heard the turn from its beginning."""

    def drop_turn(self) -> None:
        """What the engine has heard cannot be taken back."""

    def mute(self) -> None:
        """Note that no audio follows for a while."""
        self._link.pause()

    def close(self) -> None:
        """End the session with the engine."""
        self._link.close()
