"""SessionUser: what is done with the sessions of a speech-to-speech engine in one call."""

from __future__ import annotations

from typing import Protocol

from gateway.errors import ProviderError
from gateway.providers.speech_to_speech import Opening, SpeechEvent


class SessionUser(Protocol):
    """What is done with the sessions of a call."""

    def opening(self) -> Opening:
        """Return what a session begins with, as things are now."""

    def take(self, event: SpeechEvent) -> None:
        """Accept what the engine reports, in order."""

    def session_over(self) -> None:
        """Note that nothing more comes of a session, and that another one follows."""

    def hung_up(self) -> None:
        """Note that the engine has ended the conversation on purpose."""

    def lost(self, error: ProviderError) -> None:
        """Note that the engine cannot be reached any more.  Called once."""
