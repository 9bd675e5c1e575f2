"""Events of the conversation: what the bot says, its turns, tools and engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.records.model import TurnRecord


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """An agent takes the call."""

    kind: ClassVar[str] = "agent_started"
    agent: str


@dataclass(frozen=True, slots=True)
class AgentChanges:
    """Another agent is to lead the call from its next turn on; `agent_started` follows."""

    kind: ClassVar[str] = "agent_changes"
    agent: str
    by: str = ""
    """`agent` (the tool `change_agent`) or `api`."""


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The agent goes by other settings; `settings` has their dotted keys and new values."""

    kind: ClassVar[str] = "settings_changed"
    settings: dict[str, Any]
    by: str = ""
    """`agent` (a tool) or `api`."""


@dataclass(frozen=True, slots=True)
class LanguageChanges:
    """The call is to go on in another language from its next turn on."""

    kind: ClassVar[str] = "language_changes"
    language: str
    """BCP 47."""
    before: str = ""
    by: str = ""
    """`agent` (the tool `change_language`), `api`, or `recognizer`."""


@dataclass(frozen=True, slots=True)
class VoiceMeasured:
    """The caller's voice in one turn, where the agent has `profile` (docs/voice-profile.md)."""

    kind: ClassVar[str] = "voice_measured"
    speech_s: float
    level_dbfs: float | None = None
    words_per_minute: float | None = None
    syllables_per_s: float | None = None
    pauses: int = 0
    pause_share: float | None = None
    pitch_hz: float | None = None
    pitch_low_hz: float | None = None
    pitch_high_hz: float | None = None
    voiced_s: float = 0.0
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class VoiceReported:
    """What a recognizer or engine reports of the caller's voice, by kind."""

    kind: ClassVar[str] = "voice_reported"
    traits: dict[str, str]


@dataclass(frozen=True, slots=True)
class HearingStarted:
    """The caller's audio reaches the agent from here on."""

    kind: ClassVar[str] = "hearing_started"
    now: int
    vad: str = "silero"
    """Which voice detector listens; a later one of these events replaces it."""


@dataclass(frozen=True, slots=True)
class Say:
    """The dialplan speaks a text."""

    kind: ClassVar[str] = "say"
    text: str = ""


@dataclass(frozen=True, slots=True)
class BotSays:
    """The bot begins a piece of speech; a filler only bridges a wait."""

    kind: ClassVar[str] = "bot_says"
    text: str = ""
    is_filler: bool = False


@dataclass(frozen=True, slots=True)
class BotStarted:
    """The reply's first sound was handed to RTP."""

    kind: ClassVar[str] = "bot_started"


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A reply was played to its end."""

    kind: ClassVar[str] = "reply_finished"
    heard: str = ""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A reply was cut, by speech or a key; `heard` is what the caller heard of it."""

    kind: ClassVar[str] = "interrupted"
    cause: str
    heard: str = ""
    was_audible: bool = True
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class TurnWaits:
    """What was said is answered after the reply that cannot be interrupted."""

    kind: ClassVar[str] = "turn_waits"
    text: str = ""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """A turn is over; its whole record."""

    kind: ClassVar[str] = "turn_finished"
    turn: TurnRecord


@dataclass(frozen=True, slots=True)
class HistoryShortened:
    """The model found the request too long and was asked with half of it."""

    kind: ClassVar[str] = "history_shortened"
    problem: str


@dataclass(frozen=True, slots=True)
class LlmLimitReached:
    """A limit of `llm_limits` was reached."""

    kind: ClassVar[str] = "llm_limit"
    limit: str


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """A recognizer, language model or voice failed."""

    kind: ClassVar[str] = "engine_failed"
    problem: str
    cause: str = ""
    """`unavailable`, `timeout`, `rejected`, `protocol`, or a limit of the account: `rate_limited`,
    `quota_exceeded`."""


@dataclass(frozen=True, slots=True)
class EngineConnected:
    """A speech-to-speech engine has accepted a session of this call."""

    kind: ClassVar[str] = "engine_connected"
    provider: str
    turns: str = ""
    """What decides when the caller's turn is over: `engine`, `gateway`, `none` (full duplex)."""
    messages: int = 0
    """Number of messages of the history that the session began with."""


@dataclass(frozen=True, slots=True)
class EngineLost:
    """The session with a speech-to-speech engine is over, or could not be opened."""

    kind: ClassVar[str] = "engine_lost"
    problem: str = ""
    cause: str = ""
    """As in `engine_failed`."""
    goes_on: str = ""
    """`reconnects`, `cascade` (recognizer, language model and voice go on), or empty: the call
    ends."""


@dataclass(frozen=True, slots=True)
class RecognizerLost:
    """The connection to a recognizer was lost: another gets the turn's audio from its beginning."""

    kind: ClassVar[str] = "recognizer_lost"
    problem: str = ""
    cause: str = ""
    """As in `engine_failed`."""


@dataclass(frozen=True, slots=True)
class EngineSwitched:
    """An engine behind a router failed, and another one goes on."""

    kind: ClassVar[str] = "engine_switched"
    router: str
    engine: str
    """That has failed."""
    to: str
    problem: str = ""
    cause: str = ""
    """As in `engine_failed`."""


@dataclass(frozen=True, slots=True)
class EngineRests:
    """An engine behind a router has failed too often: it is not asked for a while, by any call."""

    kind: ClassVar[str] = "engine_rests"
    router: str
    engine: str
    problem: str = ""
    cause: str = ""
    """As in `engine_failed`."""


@dataclass(frozen=True, slots=True)
class EngineBack:
    """An engine that was left alone has served a request again."""

    kind: ClassVar[str] = "engine_back"
    router: str
    engine: str


@dataclass(frozen=True, slots=True)
class EngineHungUp:
    """A speech-to-speech engine has ended the conversation: the call ends behind its last words."""

    kind: ClassVar[str] = "engine_hung_up"


@dataclass(frozen=True, slots=True)
class EngineHears:
    """A speech-to-speech engine reports that the caller's speech has begun or ended."""

    kind: ClassVar[str] = "engine_hears"
    what: str
    """`started` or `ended`."""
    at_ms: float | None = None
    """Position in the session's audio, where the engine reports it."""


@dataclass(frozen=True, slots=True)
class EngineReply:
    """A reply of a speech-to-speech engine, as it comes: before it is played."""

    kind: ClassVar[str] = "engine_reply"
    what: str
    """`started`, `audio` (the first of it) or `ended`."""
    reply_id: str = ""
    end: str = ""
    """`complete`, `interrupted`, `incomplete` or `failed`."""


@dataclass(frozen=True, slots=True)
class EngineNoted:
    """A speech-to-speech engine reports something that ends nothing."""

    kind: ClassVar[str] = "engine_notice"
    text: str = ""


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model called a function."""

    kind: ClassVar[str] = "tool_called"
    tool: str
    arguments: str
    """JSON, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class ToolDropped:
    """A function that only reads was dropped with its reply."""

    kind: ClassVar[str] = "tool_dropped"
    tool: str


@dataclass(frozen=True, slots=True)
class ToolContinues:
    """The reply was cut; the function runs to its end."""

    kind: ClassVar[str] = "tool_goes_on"
    tool: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A function has returned, or failed."""

    kind: ClassVar[str] = "tool_finished"
    tool: str
    result: str
    is_error: bool = False
