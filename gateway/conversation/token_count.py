"""TokenCount: what a request to a model has cost, as far as it is known.  Pure."""

from __future__ import annotations

from gateway.conversation.reply import Outcome
from gateway.providers.contracts import ReplyEvent, ReplyRequest, TextDelta, ToolCall, Usage

_CHARACTERS_PER_TOKEN = 4
"""The usual rule of thumb for English."""


class TokenCount:
    """Counts one request into a reply's outcome: an estimate, until the model says it itself.

    A request that is cancelled never says it, and is paid for all the same.
    """

    def __init__(self, outcome: Outcome, request: ReplyRequest) -> None:
        self._outcome = outcome
        self._estimate = 0
        characters = len(request.instructions)
        characters += sum(len(str(message)) for message in request.messages)
        characters += sum(len(str(tool)) for tool in request.tools)
        self._add(characters // _CHARACTERS_PER_TOKEN)

    def see(self, event: ReplyEvent) -> None:
        """Take what the model has sent."""
        if isinstance(event, Usage):
            self._outcome.tokens += event.input_tokens + event.output_tokens - self._estimate
            self._estimate = 0
        elif isinstance(event, TextDelta):
            self._add(max(1, len(event.text) // _CHARACTERS_PER_TOKEN))
        elif isinstance(event, ToolCall):
            self._add(len(event.arguments) // _CHARACTERS_PER_TOKEN + 1)

    def _add(self, tokens: int) -> None:
        self._estimate += tokens
        self._outcome.tokens += tokens
