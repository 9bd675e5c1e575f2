"""Language models: a conversation in, the events of a reply out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.providers.contracts.expectation import Expect

Typed = Literal["", "paused", "ended"]
"""Not typed; typed until the caller paused; typed to its end (`#`, or as many keys as expected)."""


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the caller said, or typed, in one turn."""

    text: str
    choice: str | None = None
    """The expected phrase that recognition was sure of, if the dialogue expected some."""
    typed: Typed = ""
    """How it was typed, if it was: `text` holds the keys and nothing else."""
    is_answer: bool = True
    """False when it cut the bot off before its question was heard: it answers something else."""
    news: str = ""
    """The part that no earlier reply has answered, where `text` holds more; empty = all."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a function to run."""

    id: str
    name: str
    arguments: str
    """JSON object, as the model wrote it (possibly broken: the tool box validates)."""
    is_followed: bool = False
    """True when the model wants to be asked again if this is an action (a transfer) that fails."""


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the bot said, trimmed to what the caller heard, and the tools it called."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a function tool has returned."""

    call_id: str
    name: str
    content: str
    """JSON text for the model; errors are `{"error": "..."}`."""
    is_error: bool = False
    is_undone: bool = False
    """It has not failed, it was never begun: the caller cut off the reply that asked for it."""
    is_running: bool = False
    """It stands for the result of a tool that still runs."""


Message = UserMessage | AssistantMessage | ToolResult


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function tool as the model sees it."""

    name: str
    description: str
    parameters: dict[str, object]
    """JSON schema of the arguments object."""


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """Everything that a language model receives for one reply; the request holds all it knows."""

    instructions: str
    messages: Sequence[Message]
    """Oldest first; empty = the call has just been answered, speak first."""
    tools: Sequence[ToolSpec] = ()
    memo: object = None
    """What the model itself yielded last as `Memo` in this conversation; None at first."""
    late_usage: Callable[[Usage], None] | None = field(default=None, compare=False)
    """Called with the cost of the request where the server reports it after the reply's end."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply's text, any length."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """The model is at work, but nothing of it is for the caller: it has not failed."""


@dataclass(frozen=True, slots=True)
class Retracted:
    """All text of this request so far was none for the caller: drop what was not heard of it."""


@dataclass(frozen=True, slots=True)
class Memo:
    """State the model wants back with the next request; dropped with a dropped reply."""

    state: object


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; None = the server has not said how many."""

    input_tokens: int | None
    """All of them, cached or not."""
    output_tokens: int | None
    """Thoughts included, where they are paid for."""
    cached_tokens: int = 0
    """Of the input: read from the vendor's cache, mostly at a lower price."""
    cache_write_tokens: int = 0
    """Of the input: written to the vendor's cache, at some vendors at a higher price."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """The request has failed before its first word and is made once more, as another request."""

    was_taken: bool = False
    """The server had begun to answer it, so that its input is paid for."""
    has_failed: bool = True
    """False when the server did not take an option, which is left out now."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What a request has cost; negative where an estimate is put right."""

    input_tokens: int
    output_tokens: int
    cost: float


@dataclass(frozen=True, slots=True)
class Billed:
    """From here on the events are those of an engine that has prices of its own."""

    input_cost_per_million: float
    output_cost_per_million: float
    is_free: bool
    """It counts no tokens."""
    paid: Callable[[Paid], None] = field(compare=False)
    """Called with what its requests have cost."""
    cached_input_cost_per_million: float = 0.0
    """0 = as much as other input; `cache_write_cost_per_million` likewise."""
    cache_write_cost_per_million: float = 0.0

    @property
    def has_prices(self) -> bool:
        """True where one is set."""
        return bool(self.input_cost_per_million or self.output_cost_per_million)


@dataclass(frozen=True, slots=True)
class Wasted:
    """A request that was made beside this one was given up; its tokens are paid for."""

    billed: Billed
    input_tokens: int
    output_tokens: int


ReplyEvent = (
    TextDelta
    | Thinking
    | Retracted
    | ToolCall
    | Expect
    | Memo
    | Usage
    | AskedAgain
    | Billed
    | Wasted
)
Accounting = AskedAgain | Billed | Wasted
"""Events about what a reply costs: nothing of them is for the caller or the history."""


class LanguageModel(Protocol):
    """A language model or a script, shared by all calls of a worker."""

    known_texts: Sequence[str]
    """Sentences it is sure to speak (greeting, prompts): rendered while there is no call."""
    counts_tokens: bool
    """Its requests cost something: replies that are prepared and may not be heard are limited."""
    waits_for_tools: bool
    """It can answer nothing else while a tool that it has called runs (default: it can)."""
    # `tells_what_it_expects = True`: it yields `Expect` for each question, as a script does; for a
    # model without it the expectation is derived from its words.

    async def warm_up(self) -> None:
        """Check what can be checked without cost.  Raises ProviderError."""

    def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
        """Stream one reply.  The caller iterates inside `aclosing`; closing cancels the request.

        A reply that ends with tool calls is followed by another request that carries their
        results.

        Raises:
            ProviderError: the engine failed; nothing is retried once a text delta was yielded.
        """

    async def close(self) -> None:
        """Release everything.  Idempotent."""
