"""What an engine must be: the protocols that providers satisfy and the values they exchange.

Nothing here does anything. A provider is one file in `providers/<kind>/` with a `Settings`
model and `create(settings)`; being cancelled is its only stop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from gateway.audio.format import AudioFormat


class ProviderSettings(BaseModel):
    """Base of every provider's `Settings`: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- what the dialogue expects the caller to say next -----------------------------------------

ExpectKind = Literal[
    "free",
    "yes_no",
    "choice",
    "digits",
    "phone_number",
    "time",
    "quantity",
    "name",
    "spelling",
    "email",
]


@dataclass(frozen=True, slots=True)
class Expect:
    """What the dialogue expects next; steers recognition (forced choice) and endpointing."""

    kind: ExpectKind = "free"
    choices: tuple[str, ...] = ()
    """Phrases, for kind `choice` (menu) and `yes_no`; empty otherwise."""
    digits: int | None = None
    """How many digits make the answer complete, where that is known."""
    reprompt: str = ""
    """What to say when the caller stays silent; empty = the agent's own words."""


# --- speech to text ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transcript:
    """The recognizer's text of one caller turn so far: it replaces every earlier one."""

    text: str
    audio_end_samples: int
    """How much of the pushed audio it covers, in samples of the stream's input format."""
    requested: bool = False
    """True when it answers `request_transcript`: it covers all audio pushed before that call."""
    log_prob: float | None = None
    """Mean log-probability per token, where known (speech: about -0.1, noise below -0.6)."""
    choice: str | None = None
    """The expected phrase that forced choice picked, where `Expect.choices` was given."""
    end_of_turn: float | None = None
    """Probability that the caller's turn is over where the audio ends, where known."""


class SttStream(Protocol):
    """Recognition of one caller turn.  Iterating it yields transcripts until it is closed."""

    def push(self, pcm: bytes) -> None:
        """Take caller audio in the provider's `input_format`, any length.  Never blocks."""

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio pushed so far; answered by one with `requested`.

        Args:
            among: it may well be one of these (`a|b` are forms of one); an engine that can tell
                says so in `choice`.  What the dialogue expects goes before.
        """

    def caller_goes_on(self) -> None:
        """The caller speaks on: nobody waits any more for what was requested.

        It may still be answered; an engine that is busy saves itself the work.
        """

    def __aiter__(self) -> AsyncIterator[Transcript]:
        """Yield transcripts as they come.

        Raises:
            ProviderError: the engine failed.
        """


class SpeechToText(Protocol):
    """A recognizer, shared by all calls of a worker."""

    input_format: AudioFormat

    async def warm_up(self) -> None:
        """Load and run once, so that the first caller waits for nothing.  Raises ProviderError."""

    def stream(self, expect: Expect) -> AbstractAsyncContextManager[SttStream]:
        """Open recognition of one caller turn."""

    async def close(self) -> None:
        """Give everything back.  Idempotent."""


# --- text to speech ---------------------------------------------------------------------------


class TextToSpeech(Protocol):
    """A synthesizer, shared by all calls of a worker."""

    output_format: AudioFormat

    async def warm_up(self) -> None:
        """Load and run once.  Raises ProviderError."""

    def synthesize(self, text: str) -> AsyncIterator[bytes]:
        """Yield PCM of `output_format` in chunks of any even length, as it comes.

        Args:
            text: one speakable sentence or clause, no markup.

        Raises:
            ProviderError: the engine failed.
        """

    async def close(self) -> None:
        """Give everything back.  Idempotent."""


# --- language model ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the caller said in one turn."""

    text: str
    choice: str | None = None
    """The expected phrase that recognition was sure of, if the dialogue expected some."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a function to run."""

    id: str
    name: str
    arguments: str
    """JSON object, as the model wrote it (possibly broken: the tool box validates)."""


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the bot said, trimmed to what the caller heard, and the tools it called."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a function tool gave back."""

    call_id: str
    name: str
    content: str
    """JSON text for the model; errors are `{"error": "..."}`."""
    is_error: bool = False


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
    """Everything a language model gets for one reply.  Stateless: all it knows is in here."""

    instructions: str
    messages: Sequence[Message]
    """Oldest first; empty = the call has just been answered, speak first."""
    tools: Sequence[ToolSpec] = ()
    memo: object = None
    """What the model itself yielded last as `Memo` in this conversation; None at first."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply's text, any length."""

    text: str


@dataclass(frozen=True, slots=True)
class Memo:
    """State the model wants back with the next request; dropped with a dropped reply."""

    state: object


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request."""

    input_tokens: int
    output_tokens: int


ReplyEvent = TextDelta | ToolCall | Expect | Memo | Usage


class LanguageModel(Protocol):
    """A brain, shared by all calls of a worker."""

    known_texts: Sequence[str]
    """Sentences it will surely say (greeting, prompts): rendered ahead of the first call."""
    counts_tokens: bool
    """Its requests cost something, so that replies that nobody hears are limited."""

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
        """Give everything back.  Idempotent."""


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """One line of `gateway providers`."""

    kind: str
    name: str
    summary: str
    available: bool
    hint: str = field(default="")
    """What to do when it is not available."""
