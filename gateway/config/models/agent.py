"""What a bot is: `[agents.NAME]` and the tables in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr

from gateway.config.engine_table import EngineTable
from gateway.config.models.table import Table

LanguageTag = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$")]
"""BCP 47, such as "en" or "de-AT"."""
Eagerness = Literal["low", "medium", "high", "auto"]
"""low = rather wait, high = rather answer, auto = learn from the caller's own pauses."""
TurnBy = Literal["gateway", "recognizer", "both"]
"""gateway = our own turn taking decides, recognizer = its turn events do, both = the first to be
sure."""
BuiltinTool = Literal[
    "hang_up",
    "transfer_call",
    "send_dtmf",
    "pause_recording",
    "resume_recording",
    "expect_answer",
    "change_agent",
    "speaking_rate",
    "change_language",
]


class BargeInConfig(Table):
    """`[agents.NAME.turn.barge_in]`: what the caller must do to make the bot stop."""

    interruptible: bool = True
    """False = the bot finishes whatever the caller says; what was said is answered then."""
    protect_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds of the call's first bot speech that cannot be interrupted (legal notices)."""
    digits: bool = True
    """A key interrupts."""
    pause_probability: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Speech probability of one 32 ms chunk at which the bot pauses."""
    verdict_ms: Annotated[int, Field(ge=100, le=2000)] = 400
    """Time within which the bot stops for good or goes on."""


class TurnConfig(Table):
    """`[agents.NAME.turn]`: when the caller's turn starts and ends, all in audio time."""

    start_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Speech probability of one 32 ms chunk that counts as speech."""
    start_chunks: Annotated[int, Field(ge=1)] = 2
    """Number of such chunks in a row that starts an utterance."""
    stop_probability: Annotated[float, Field(gt=0, lt=1)] = 0.35
    hangover_ms: Annotated[int, Field(ge=0)] = 96
    """Silence after which an utterance has stopped."""
    preroll_ms: Annotated[int, Field(ge=0)] = 400
    """Audio from before the detected start that recognition gets."""
    eager_ms: Annotated[int, Field(ge=0)] = 64
    """Silence after which the transcript is asked for, speculatively."""
    sure_end_ms: Annotated[int, Field(ge=0)] = 224
    """Silence that ends a turn whose text looks finished and that sounds finished."""
    whole_ms: Annotated[int, Field(ge=0)] = 320
    """Silence that ends a turn whose text looks finished."""
    expected_ms: Annotated[int, Field(ge=0)] = 128
    """Silence that ends a turn whose text is a complete expected answer."""
    doubtful_ms: Annotated[int, Field(ge=0)] = 448
    """Silence that ends a turn whose text may be finished, but hardly is."""
    unfinished_ms: Annotated[int, Field(ge=0)] = 1000
    """Silence that ends a turn whose text looks unfinished."""
    dictation_ms: Annotated[int, Field(ge=0)] = 1600
    """Silence that ends an incomplete number, name or the like that the dialogue expects."""
    max_turn_s: Annotated[float, Field(gt=0)] = 30.0
    by: TurnBy = "gateway"
    """Which of the two decides about the caller's turns: recognizer and both need a recognizer with
    turn detection of its own."""
    eagerness: Eagerness = "medium"
    reopen_ms: Annotated[int, Field(ge=0)] = 1500
    """A caller who goes on within this much of the reply continues the turn: the answer is taken
    back and the next one covers the whole."""
    sure_ms: Annotated[int, Field(ge=0)] = 1000
    """Silence after which a turn is surely over: no tool with side effects starts before."""
    barge_in: BargeInConfig = BargeInConfig()
    language: LanguageTag = "en"
    """Whose words tell whether the caller goes on, by default the agent's `language`."""


class SilenceConfig(Table):
    """`[agents.NAME.silence]`: what to do when the caller says nothing."""

    reprompt_after_s: Annotated[float, Field(gt=0)] = 8.0
    reprompts: tuple[str, ...] = (
        "Are you still there?",
        "I cannot hear you. Is there anything I can do?",
    )
    goodbye: str = "I have not heard anything, so I will hang up now. Goodbye."


class SpeculationConfig(Table):
    """`[agents.NAME.speculation]`: replies that are prepared while the caller may go on."""

    enabled: bool = True
    max_wasted_tokens: Annotated[int, Field(ge=0)] = 20000
    """Tokens of dropped replies per call (partly estimated) after which it ends."""


class FillerConfig(Table):
    """`[agents.NAME.filler]`: what is said while a tool or the model is slow."""

    after_ms: Annotated[int, Field(ge=0)] = 1500
    """Silence, from the caller's last word, that is really noticed; 0 = no fillers."""
    every_ms: Annotated[int, Field(ge=1000)] = 6000
    """Silence after a filler before the next."""
    first: tuple[str, ...] = ("One moment, please.", "Let me see.", "Just a second.")
    """Short words for the first wait; they take turns."""
    later: tuple[str, ...] = (
        "I am still on it.",
        "Thank you for waiting, it should not be long now.",
        "This takes longer than usual, please stay on the line.",
    )
    """One after the other while it lasts."""
    give_up_s: Annotated[float, Field(gt=0)] = 30.0
    """Seconds without a word of the reply after which it has failed."""


class KeysConfig(Table):
    """`[agents.NAME.keys]`: what of the caller's keys is one entry."""

    gather: Literal["auto", "keys", "entries"] = "auto"
    """keys = each key at once, unless a number was asked for; entries = all keys up to the
    terminator or a pause; auto = entries with a language model, keys with a script."""
    pause_ms: Annotated[int, Field(ge=500, le=10000)] = 2000
    """Time without a key that ends an entry."""
    terminator: Annotated[str, Field(pattern=r"^[0-9*#]?$")] = "#"
    """Key that ends an entry and is no part of it; empty = none."""


class TransferConfig(Table):
    """`[agents.NAME.transfer]`: while the caller waits for the other party."""

    timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0
    """Seconds without an outcome after which a transfer has failed."""
    tone: Literal["international", "north_american", "none"] = "international"
    """Ringing tone that the caller hears meanwhile."""


class RecognizerPrices(Table):
    """`stt.prices`: what a recognizer costs, in the currency of `llm_limits`."""

    cost_per_minute: Annotated[float, Field(ge=0)] = 0.0
    """Of sound that it is sent."""


class RecognizerTable(EngineTable):
    """`stt`: a recognizer, its settings, and what it costs."""

    prices: RecognizerPrices = RecognizerPrices()


class VoicePrices(Table):
    """`tts.prices`: what a voice costs, in the currency of `llm_limits`."""

    cost_per_million_characters: Annotated[float, Field(ge=0)] = 0.0
    """Of the text that it is given."""
    cost_per_minute: Annotated[float, Field(ge=0)] = 0.0
    """Of the sound that it makes, for vendors that count time."""


class VoiceTable(EngineTable):
    """`tts`: a voice, its settings, and what it costs."""

    prices: VoicePrices = VoicePrices()


def default_voice(language: str = "en") -> VoiceTable:
    """Choose the best voice of a language among those that are installed with the gateway."""
    if language.partition("-")[0].lower() != "en":
        return VoiceTable(provider="espeak")
    has_hibari = importlib.util.find_spec("hibari") is not None
    return VoiceTable(provider="hibari" if has_hibari else "flite")


class LlmLimits(Table):
    """`[agents.NAME.llm_limits]`: what its language model may be asked for; 0 = no limit.

    Beyond one `give_up` is said and the call ends.  Days are the last 24 hours on this machine.
    """

    requests_per_call: Annotated[int, Field(ge=0)] = 300
    tokens_per_call: Annotated[int, Field(ge=0)] = 2_400_000
    cost_per_call: Annotated[float, Field(ge=0)] = 0.0
    requests_per_caller_day: Annotated[int, Field(ge=0)] = 0
    """Of one number, else of one address: a switchboard is one caller."""
    tokens_per_caller_day: Annotated[int, Field(ge=0)] = 0
    cost_per_caller_day: Annotated[float, Field(ge=0)] = 0.0
    requests_per_day: Annotated[int, Field(ge=0)] = 0
    """Of all callers of agents that have a limit of a day."""
    tokens_per_day: Annotated[int, Field(ge=0)] = 0
    cost_per_day: Annotated[float, Field(ge=0)] = 0.0
    input_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Tokens, in any currency: what the costs are counted in."""
    output_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    cached_input_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Of input that the vendor's cache held; 0 = as other input."""
    cache_write_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Of input that was written to that cache; 0 = as other input."""


class SpeechPrices(Table):
    """`s2s.prices`: what a speech-to-speech engine costs, in the currency of `llm_limits`.

    Per million tokens.  What was in the engine's store costs as much as other input where its own
    price is 0.
    """

    input_text_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    input_audio_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    cached_text_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    cached_audio_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    output_text_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    output_audio_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    cost_per_minute: Annotated[float, Field(ge=0)] = 0.0
    """Of engines that count time."""


class SpeechTable(EngineTable):
    """`s2s`: a speech-to-speech engine, its settings, and how the gateway uses it."""

    greeting: Literal["engine", "voice"] = "voice"
    """What says the agent's greeting: the engine, or `tts`."""
    on_failure: Literal["cascade", "apologize"] = "cascade"
    """When the engine is lost and cannot be reached again: `stt`, `llm` and `tts` go on with the
    call, or the caller hears `give_up`."""
    filler: Literal["voice", "engine"] = "voice"
    """What bridges a wait, such as for a tool: `filler` in the voice of `tts`, or what the engine
    says of its own accord."""
    connect_before_answer_ms: Annotated[int, Field(ge=0, le=10_000)] = 1500
    """Where the engine speaks first, a call is answered once there is a session, or after this
    time; 0 = at once."""
    connect_while_ringing_s: Annotated[float, Field(ge=0, le=120)] = 0.0
    """Calls that the gateway places: the session is opened with the INVITE, and ended where the
    call is not answered within this time; 0 = opened with the answer.  An unanswered call costs a
    session."""
    warm_sessions: Annotated[int, Field(ge=0, le=100)] = 0
    """Connections that each worker keeps open for the next calls, where idle ones cost nothing."""
    prices: SpeechPrices = SpeechPrices()


class SilenceTexts(Table):
    """`[agents.NAME.languages.CODE.silence]`: empty = those of the language."""

    reprompts: tuple[str, ...] = ()
    goodbye: str = ""


class FillerTexts(Table):
    """`[agents.NAME.languages.CODE.filler]`: empty = those of the language."""

    first: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


class InLanguage(Table):
    """`[agents.NAME.languages.CODE]`: what differs when the call goes on in that language."""

    stt: RecognizerTable | None = None
    """Left out = the agent's, told this language."""
    tts: VoiceTable | None = None
    """Left out = the agent's, told this language; by default as for an agent of this language."""
    instructions: str = ""
    """Empty = the agent's, and a line that names the language."""
    fallback: str = ""
    """Empty = the language's, as the texts below."""
    give_up: str = ""
    transfer_failed: str = ""
    silence: SilenceTexts = SilenceTexts()
    filler: FillerTexts = FillerTexts()


class AgentConfig(Table):
    """`[agents.NAME]`: one bot; `stt`, `vad`, `llm`, `tts` are a provider and its settings."""

    greeting: str = ""
    """First sentence; empty = the language model speaks first.  Here and in the instructions
    `{caller}`, `{called}`, `{trunk}`, `{now}`, `{date}`, `{time}`, `{header.NAME}` and
    `{var.NAME}` are filled in; `{{caller}}` stands for itself."""
    instructions: str = ""
    listen_first_ms: Annotated[int, Field(ge=0)] = 1200
    """On calls that the gateway places: silence after which the greeting is said.  A called
    party who speaks before that is heard out first.  0 = it is said at once."""
    timezone: str = ""
    """Of `{now}`, `{date}` and `{time}`, such as "Europe/Berlin"; empty = the machine's."""
    language: LanguageTag = "en"
    """Of the caller and the bot (BCP 47), such as "en" or "de-AT".  Its engines must know it."""
    languages: dict[LanguageTag, InLanguage] = {}
    """Others that a call may go on in (`change_language`, the API), and what differs there."""
    detect_language: bool = False
    """The call goes on in another of `languages` once the recognizer hears the caller speak it."""
    stt: RecognizerTable = RecognizerTable(provider="moonshine")
    vad: EngineTable = EngineTable(provider="silero")
    """What tells speech from other sounds: `silero` (a network) or `webrtcvad` (cheap, coarse)."""
    llm: EngineTable = EngineTable(provider="script")
    tts: VoiceTable = Field(default_factory=default_voice)
    """By default hibari, or flite where that is not installed; espeak in other languages."""
    s2s: SpeechTable | None = None
    """An engine that hears the caller and speaks itself; then `stt` and `llm` only stand in for it,
    and `tts` speaks what the configuration and the operator want said."""
    tools: tuple[str, ...] = ()
    """Function tools: `package.module:function` or `path/to/file.py:function`."""
    profile: bool = False
    """Measure the caller's voice (rate, level, pauses, pitch) and take what engines report of it:
    one line in the instructions, data for tools, in the record (docs/voice-profile.md)."""
    record: bool = True
    """False = neither sound nor texts of its calls are kept."""
    builtin_tools: tuple[BuiltinTool, ...] = ("hang_up",)
    transfer_targets: dict[str, str] = {}
    """Names that `transfer_call` may use and the SIP URIs or numbers behind them; a number is
    reached by the call's own trunk.  Empty = no transfer."""
    agent_targets: tuple[str, ...] = ()
    """Agents that `change_agent` may hand the call to.  Empty = none."""
    tool_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    llm_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """To the first token of a reply."""
    history_messages: Annotated[int, Field(ge=2)] = 60
    """Number of messages beyond which the oldest are dropped."""
    history_tokens: Annotated[int, Field(ge=200)] = 8000
    """Tokens (about four characters each) beyond which the oldest turns are not sent."""
    fallback: str = "I am sorry, I have a technical problem. Could you say that again?"
    """Spoken when an engine fails in mid-talk."""
    give_up: str = "I am sorry, I cannot help you right now. Please call again later. Goodbye."
    """Spoken before hanging up when engines keep failing."""
    transfer_failed: str = "I am sorry, nobody answers there. Can I help you with something else?"
    """Spoken when a transfer was refused or failed."""
    transfer: TransferConfig = TransferConfig()
    keys: KeysConfig = KeysConfig()
    turn: TurnConfig = TurnConfig()
    silence: SilenceConfig = SilenceConfig()
    llm_limits: LlmLimits = LlmLimits()
    speculation: SpeculationConfig = SpeculationConfig()
    filler: FillerConfig = FillerConfig()
    _in_languages: dict[str, AgentConfig] = PrivateAttr(default_factory=dict)

    @property
    def in_languages(self) -> Mapping[str, AgentConfig]:
        """The agent in each language that it may go on in, its own included; none before a check.

        Empty where `languages` is.
        """
        return self._in_languages

    def with_languages(self, found: Mapping[str, AgentConfig]) -> AgentConfig:
        """Return this agent with what it is in other languages."""
        agent = self.model_copy()
        agent._in_languages = dict(found)  # noqa: SLF001 - its own class
        return agent
