"""SessionSettings: what the sessions of a speech-to-speech engine begin with, and its changes."""

from __future__ import annotations

from gateway.call.line import coding_of
from gateway.conversation.agent import Agent
from gateway.conversation.speech_link import SpeechLink
from gateway.conversation.talk import Talk
from gateway.providers.speech_to_speech import Opening


class SessionSettings:
    """Of one conversation.  Loop thread only."""

    def __init__(self, talk: Talk) -> None:
        """Prepare; `talk` is the conversation."""
        self._talk = talk
        self._agent = talk.agent
        self._instructions = talk.context.instructions

    def opening(self, greeting: str) -> Opening:
        """Return what a session begins with that is opened now.

        Args:
            greeting: what the engine speaks first; empty = nothing.
        """
        talk = self._talk
        self._instructions = talk.context.instructions
        return Opening(
            call_id=talk.call.line.facts.call_id,
            instructions=talk.context.instructions,
            messages=talk.context.messages(),
            tools=(*talk.agent.tools.specs, *talk.call.terms.tools),
            language=talk.agent.config.language,
            greeting=greeting,
            line=coding_of(talk.call.line),
        )

    def follow(self, agent: Agent, link: SpeechLink) -> None:
        """Go by other settings, in the session where it can change them, else in a new one.

        Args:
            agent: with the settings.
            link: to the engine; a new session is opened once neither side speaks.
        """
        before, self._agent = self._agent, agent
        instructions = self._talk.context.instructions
        if agent.speech is not None and _fixed(agent) != _fixed(before):
            link.use(agent.speech)
        elif instructions != self._instructions:
            link.instruct(instructions)
        self._instructions = instructions


def _fixed(agent: Agent) -> tuple[object, str]:
    """Return what a session keeps from its beginning to its end."""
    return agent.speech, agent.config.language
