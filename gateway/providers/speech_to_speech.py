"""What a speech-to-speech engine must be, and what it tells about a call.

An engine is one file in `providers/s2s/` with `SUMMARY`, `Settings`, `create(settings)` and
`probe()`.  Its session is one conversation: nothing that is called on it waits, what it has to say
comes out of the iteration, and leaving its block is its only stop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.providers.contracts import Message, ToolCall, ToolSpec, Trait

TurnOwner = Literal["engine", "gateway", "none"]
"""Who decides when the caller's turn is over: the engine by its own detection, the gateway (which
then calls `commit`), or neither (full duplex: both sides speak all the time)."""

Eagerness = Literal["low", "medium", "high"]
"""How soon a turn counts as over; each engine maps it to its own setting."""

DELEGATED = "delegated_task"
"""Name in a `ToolAsked` by which an engine hands a task to the gateway's own language model: its
arguments are `{"conversation": TEXT}`, what was said since the last one; its result is the answer
in words, which the engine speaks."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session begins with: a new call, or one that another engine has led so far."""

    call_id: str
    """Of the gateway, for the vendor's logs where it takes one."""
    instructions: str
    messages: Sequence[Message] = ()
    """What was said before, as the caller heard it, oldest first."""
    tools: Sequence[ToolSpec] = ()
    language: str = "en"
    greeting: str = ""
    """Words that the engine is to say first; empty = it waits for the caller, or for `tell`."""
    line: AudioFormat = NARROWBAND
    """How the line codes its audio: an engine that takes the same gets the bytes untouched."""


# --- what an engine tells -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallerStarted:
    """The engine hears the caller speak.  Engines that own turns stop their reply by themselves."""

    at_ms: float | None = None
    """Position in the pushed audio at which the speech begins, where the engine reports it."""


@dataclass(frozen=True, slots=True)
class CallerEnded:
    """The engine takes the caller's turn for over."""

    at_ms: float | None = None
    """Position in the pushed audio at which the speech ends, where the engine reports it."""


@dataclass(frozen=True, slots=True)
class CallerText:
    """What the caller has said in one turn so far; replaces what was reported for it before."""

    text: str
    turn_id: str = ""
    """The engine's id of the turn; empty where it has none (then: the latest turn)."""
    is_final: bool = False
    traits: tuple[Trait, ...] = ()
    """What the engine reports of the caller's voice beside the words."""


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The engine begins a reply; its audio and words carry the same id, and come after this.

    An engine that sends sound all the time (`turns` is `none`) reports replies, too: where its
    sound begins and where it ends.  Words that come before the sound belong to the reply that
    begins with it.
    """

    reply_id: str
    """Unique within the session."""


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """A part of a reply's sound, at whatever pace the engine delivers it."""

    reply_id: str
    audio: bytes
    """In the session's `output_format`; any length."""
    text: str = ""
    """Words whose sound begins in this part, where the engine aligns them; else see `ReplyText`."""


@dataclass(frozen=True, slots=True)
class ReplyText:
    """Further words of a reply; they may come before or after the sound that carries them."""

    reply_id: str
    text: str
    """To be appended as it is: spaces are the engine's."""


ReplyEnd = Literal["complete", "interrupted", "incomplete", "failed"]
"""All of it was delivered; the engine has cut it itself or was told to; a limit of length or a
content filter has ended it; the engine could not finish it."""


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """Nothing more comes of a reply.  It may still have much to play."""

    reply_id: str
    end: ReplyEnd = "complete"
    problem: str = ""
    """What the engine says of an `incomplete` or `failed` one."""


@dataclass(frozen=True, slots=True)
class ToolAsked:
    """The engine wants a function to run; answered by a `ToolResult` in `tell`."""

    call: ToolCall
    reply_id: str = ""
    """The reply that asked for it: what was said before in it is played first."""


@dataclass(frozen=True, slots=True)
class ToolsWithdrawn:
    """The engine wants no result of these calls any more."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineUsage:
    """What the session has cost so far: totals since it began, never a difference."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_audio_tokens: int = 0
    """The part of `input_tokens` that is sound: priced higher than text."""
    output_audio_tokens: int = 0
    cached_tokens: int = 0
    """The part of `input_tokens` that the engine had in store: priced lower."""
    cached_audio_tokens: int = 0
    """The part of `cached_tokens` that is sound, where the engine tells them apart."""
    audio_s: float = 0.0
    """Where the engine counts time instead of tokens."""


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """The engine will end the session: the gateway opens the next one before that.

    It may come at the very beginning, with an hour; a later one replaces it.  What still comes of
    the session until the next one is open is played.
    """

    in_s: float


@dataclass(frozen=True, slots=True)
class EngineNotice:
    """Something for the log and the call's events that ends nothing: a warning, a refused event."""

    text: str
    is_unknown_event: bool = False
    """An event of a type that this provider does not know: counted, otherwise ignored."""


SpeechEvent = (
    CallerStarted
    | CallerEnded
    | CallerText
    | ReplyStarted
    | ReplyAudio
    | ReplyText
    | ReplyEnded
    | ToolAsked
    | ToolsWithdrawn
    | EngineUsage
    | SessionExpires
    | EngineNotice
)


# --- what an engine is --------------------------------------------------------------------------


class SpeechSession(Protocol):
    """One conversation with an engine.  Loop thread only; no method waits.

    No method raises either: what goes wrong comes out of the iteration, also after its end.  What
    an engine cannot do is reported by an `EngineNotice`; ids of another session do nothing.
    """

    input_format: AudioFormat
    """What `push` takes: the line's own coding where the engine takes it."""
    output_format: AudioFormat
    """What `ReplyAudio` carries."""
    turns: TurnOwner

    def push(self, audio: bytes) -> None:
        """Send caller audio in `input_format`, any length.

        Called once per 20 ms while the caller is to be heard, speech or not, but for long silence,
        of which 80 ms come at once where the engine or the gateway ends turns.  An engine that is
        paid by the second may leave out what is silent, a full-duplex one may take it for a clock.
        """

    def pause(self) -> None:
        """Note that no audio follows for a while (hold, transfer); keep the session open."""

    def begin_turn(self, ago_ms: int) -> None:
        """Note that the caller speaks, and takes the floor, where the gateway owns turns.

        A `commit` follows, or the caller goes on: another call of this before that changes nothing.

        Args:
            ago_ms: how much of the audio that was pushed before belongs to the turn.
        """

    def commit(self) -> None:
        """End the caller's turn and ask for a reply, where the gateway owns turns.

        It comes without `begin_turn` where the turn was begun in another session.
        """

    def cut(self, reply_id: str, heard_ms: int) -> None:
        """Stop a reply, of which the caller heard `heard_ms` from its first sample on.

        What still arrives of it is dropped by the session; its `ReplyEnded` comes where the engine
        reports it, and once at most.  Called for replies that are complete, too: an engine that
        keeps its own history corrects it.  An unknown or second cut does nothing.
        """

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Add to the engine's history: tool results, keys, words that another voice has said.

        Nothing of it is spoken as it is: what the caller is to hear word for word is said by the
        gateway's own voice and told here afterwards.

        Args:
            messages: `ToolResult` answers a `ToolAsked` of this session; `UserMessage` is what the
                caller has typed, or what happened beside the engine; `AssistantMessage` was said by
                the gateway's own voice or another session, and was cut if it is `interrupted`.
            answer: the engine is to speak now, once: to the last of the messages, or of its own
                accord where there is none, or where the last was said by the bot.
        """

    def instruct(self, instructions: str) -> None:
        """Replace the instructions in mid-call; an engine that cannot yields an `EngineNotice`."""

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Change how soon the engine takes a turn for over; as `instruct` where it cannot."""

    # `usage() -> EngineUsage`: where the session counts itself, asked for once more at its end.

    def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        """Yield what happens until the session is over.

        An end without an error is the engine hanging up on purpose: the call ends once all that it
        has said was played.

        Raises:
            ProviderError: the session is lost, was refused, has expired or broke the protocol.
        """


class SpeechToSpeech(Protocol):
    """An engine, shared by all calls of a worker."""

    turns: TurnOwner
    """Of its sessions, by its settings."""
    takes_tools: bool
    """False: the engine cannot call functions, and `gateway check` refuses an agent with tools."""
    # `may_be_warm = True` and `keep_warm(count)`: idle connections cost nothing at the vendor, and
    # it keeps this number of them for the next sessions; 0 = none any more.
    # `takes_greeting = False`: it cannot say given words first (default: it can).

    async def warm_up(self) -> None:
        """Check what can be checked without cost.  Raises ProviderError."""

    def connect(self, opening: Opening) -> AbstractAsyncContextManager[SpeechSession]:
        """Open a session; entered once the engine has accepted it and audio may be pushed.

        Raises:
            ProviderError: on entering: no connection, key refused, model or voice unknown, timeout.
        """

    async def close(self) -> None:
        """Release everything.  Idempotent."""
