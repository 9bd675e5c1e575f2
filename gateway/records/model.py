"""What `call.json` holds: frozen models, units in the names, None where not applicable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    computed_field,
    model_validator,
)

import gateway

VERSION = 2
"""Of `call.json`.  Records of every older version are read."""

EndReason = Literal[
    "caller_hung_up",
    "bot_hung_up",
    "transferred",
    "no_media",
    "silence",
    "max_duration",
    "max_hold",
    "hung_up_by_api",
    "refused",
    "cancelled",
    "busy",
    "no_answer",
    "failed",
    "crashed",
    "worker_lost",
    "shutdown",
]


HungUpBy = Literal["", "other_side", "agent", "gateway", "api"]
"""other_side = caller or called party, not the gateway; agent = the bot or the dialplan;
gateway = a limit, a refusal or the end of the gateway; api = a request."""
_HUNG_UP_BY: dict[EndReason, HungUpBy] = {
    "caller_hung_up": "other_side",
    "cancelled": "other_side",
    "busy": "other_side",
    "bot_hung_up": "agent",
    "silence": "agent",
    "transferred": "agent",
    "no_media": "gateway",
    "max_duration": "gateway",
    "max_hold": "gateway",
    "refused": "gateway",
    "shutdown": "gateway",
    "hung_up_by_api": "api",
}


def hung_up_by(reason: EndReason) -> HungUpBy:
    """Return which side ended a call, where the reason shows it.  Pure."""
    return _HUNG_UP_BY.get(reason, "")


def clean_text(value: object) -> object:
    """Replace what is not valid UTF-8 (SIP headers come with lone surrogates)."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def cleaned(value: Any) -> Any:  # noqa: ANN401 - any JSON-like value
    """Clean texts at any depth; models and dataclasses become dicts."""
    return with_texts(value, clean_text)


def with_texts(value: Any, change: Callable[[str], object]) -> Any:  # noqa: ANN401 - JSON-like
    """Change every text at any depth, keys too; models and dataclasses become dicts.  Pure."""
    if isinstance(value, dict):
        return {_changed(key, change): with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [with_texts(item, change) for item in value]
    if isinstance(value, str):
        return change(value)
    if isinstance(value, BaseModel):
        return with_texts(value.model_dump(), change)
    if is_dataclass(value) and not isinstance(value, type):
        return with_texts(asdict(value), change)
    return value


def _changed(key: object, change: Callable[[str], object]) -> object:
    return change(key) if isinstance(key, str) else key


Text = Annotated[str, BeforeValidator(clean_text)]
Milliseconds = Annotated[
    float, Field(description="milliseconds"), AfterValidator(lambda value: round(value, 1))
]


class Entry(BaseModel):
    """A part of a record: frozen; keys of newer versions are ignored when it is read back."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class ToolUse(Entry):
    """One function tool that ran within a turn."""

    name: Text
    arguments: Text = ""
    result: Text = ""
    is_error: bool = False
    duration_ms: Milliseconds | None = None
    is_dropped: bool = False
    """It only read, for a reply that was dropped: the model does not know the result."""


class FalseInterruption(Entry):
    """A pause of the bot for a sound that turned out not to be an interruption."""

    at_s: float
    """Audio time at which it was suspected."""
    evidence: Text
    """Why it went on: `noise`, `backchannel`, `echo` or `no_words`."""
    silent_ms: Milliseconds


class SpeculationRecord(Entry):
    """Replies that were prepared before the caller's turn was surely over."""

    started: int = 0
    released: int = 0
    dropped: int = 0
    wasted_tokens: int = 0
    """Of the dropped ones; estimated where the model did not say."""


class TraitRecord(Entry):
    """What a vendor took the caller's voice to be."""

    kind: Text
    """`emotion`, `age`, `accent`, `language`, `pitch` or `style`."""
    value: Text
    confidence: float | None = None


class VoiceProfileRecord(Entry):
    """The caller's voice, where the agent has `profile = true` (docs/voice-profile.md)."""

    turns: int = 0
    """Number of caller turns that were measured."""
    speech_s: float = 0.0
    level_dbfs: float | None = None
    """Of the speech only."""
    words_per_minute: float | None = None
    """By the recognizer's words, pauses included."""
    syllables_per_s: float | None = None
    """By the sound, pauses left out."""
    pause_share: float | None = None
    pitch_hz: float | None = None
    """Median; 10 % are below `pitch_low_hz`, 10 % above `pitch_high_hz`."""
    pitch_low_hz: float | None = None
    pitch_high_hz: float | None = None
    confidence: float = 0.0
    """0..1: how much clear speech there was."""
    traits: tuple[TraitRecord, ...] = ()
    """Reported by a recognizer or engine, not measured."""


class EngineRecord(Entry):
    """What a speech-to-speech engine did in a call, and what it costs."""

    provider: Text
    sessions: int = 0
    """Number of sessions that it accepted."""
    lost: int = 0
    """How often a session was lost, or not given."""
    input_tokens: int = 0
    output_tokens: int = 0
    input_audio_tokens: int = 0
    """The part of `input_tokens` that is sound; `output_audio_tokens` likewise."""
    output_audio_tokens: int = 0
    cached_tokens: int = 0
    """The part of `input_tokens` that the engine had in store."""
    session_s: float = 0.0
    """Seconds that an engine counts that is paid by time."""
    cost: float | None = None
    """By `s2s.prices`; None where none is set."""


class UsageRecord(Entry):
    """What one recognizer, language model or voice was used for in a call, and what it costs."""

    kind: Literal["stt", "llm", "tts"]
    provider: Text
    requests: int = 0
    """Replies asked of a language model, texts given to a voice."""
    input_tokens: int = 0
    """As billed by the model, estimated where it did not say; `output_tokens` likewise."""
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input: those that the vendor's cache held, as far as the model says it."""
    audio_s: float = 0.0
    """Seconds of sound that the recognizer was sent, or that the voice has sent."""
    characters: int = 0
    """Given to a voice, also those of a sentence that was cut off."""
    cost: float | None = None
    """By the configured prices; None where none is set."""


class RoutedEngineRecord(Entry):
    """What one engine behind a router did in a call, and what it costs."""

    engine: Text
    requests: int = 0
    failures: int = 0
    """Requests that it did not serve; those that another engine answered sooner not counted."""
    overtaken: int = 0
    """Requests that another engine answered sooner."""
    input_tokens: int = 0
    output_tokens: int = 0
    wasted_tokens: int = 0
    """The part of both that was asked of it beside the engine that answered; partly estimated."""
    characters: int = 0
    """Of the texts that it spoke."""
    audio_s: float = 0.0
    """Length of the sound that it has got as a recognizer, or made as a voice."""
    cost: float | None = None
    """By `engines.NAME.prices`; None where none is set, and for speech-to-speech engines, whose
    costs stand in `engines` of the call."""


class RouteRecord(Entry):
    """What a router chose in a call."""

    router: Text
    kind: Text = ""
    """`stt`, `llm`, `tts` or `s2s`."""
    variant: Text = ""
    """Side of its split that the call was on."""
    rule: Text = ""
    """What went before the split at last: `when[N]` or `cap`."""
    switches: int = 0
    """How often another engine went on after a failure."""
    engines: tuple[RoutedEngineRecord, ...] = ()
    """In the order in which they were first asked."""


class SpentRecord(Entry):
    """What the engines of a call cost, whatever they are."""

    requests: int = 0
    """To language models and speech-to-speech engines; `tokens` likewise, partly estimated."""
    tokens: int = 0
    cost: float = 0.0
    """At the configured prices."""


class TurnRecord(Entry):
    """One caller turn and the bot's reply; the greeting is a turn without caller text."""

    index: int
    agent: Text = ""
    """The agent that led the call then; a call may change it."""
    variant: Text = ""
    """Sides of the splits that the call was on, such as `talk=a`."""
    started_s: float | None = None
    """Audio time at which the turn began."""
    bot_started_s: float | None = None
    """Audio time of the first sample of the bot's own words, without fillers."""
    caller_text: Text | None = None
    bot_text_generated: Text | None = None
    bot_text_heard: Text | None = None
    response_gap_ms: Milliseconds | None = None
    """Last caller sample above the speech threshold -> first bot sample handed to RTP."""
    answer_gap_ms: Milliseconds | None = None
    """The same up to the first word of the answer itself, where a filler was said before."""
    gateway_share_ms: Milliseconds | None = None
    """`response_gap_ms` minus the whole time of model and voice, hidden by the wait or not."""
    interrupted: bool = False
    barge_in_stop_ms: Milliseconds | None = None
    endpointing_ms: Milliseconds | None = None
    stt_final_ms: Milliseconds | None = None
    llm_first_token_ms: Milliseconds | None = None
    llm_first_sentence_ms: Milliseconds | None = None
    tts_first_audio_ms: Milliseconds | None = None
    playout_start_ms: Milliseconds | None = None
    engine_first_audio_ms: Milliseconds | None = None
    """Of a speech-to-speech engine: the caller's last sample sent to it -> its first audio; from
    the commit on where the gateway ends turns, from the wish to speak on where no turn is
    answered.  `gateway_share_ms` is what is left of `response_gap_ms`."""
    engine_to_wire_ms: Milliseconds | None = None
    """Its first audio -> the bot's first audible sample handed to RTP."""
    slowest_stage: Text | None = None
    """The stage that took the largest part of `response_gap_ms`, by its field name."""
    speculative: bool = False
    """The reply was prepared before the turn was over."""
    reopened: bool = False
    """The caller went on: the reply was taken back, the next turn holds all the words."""
    false_interruptions: tuple[FalseInterruption, ...] = ()
    """Pauses of the bot for sounds that were no interruption."""
    fillers: tuple[Text, ...] = ()
    """What was said to bridge a long wait; not in `bot_text_heard`."""
    filler_starts_s: tuple[float, ...] = ()
    """Audio time at which each of them began."""
    tools: tuple[ToolUse, ...] = ()
    error: Text | None = None
    withheld: bool = False
    """What was said was left out: recording was off or paused."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def held_breaths(self) -> tuple[FalseInterruption, ...]:
        """The former name of `false_interruptions`, written for one more release."""
        return self.false_interruptions

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, data: object) -> object:
        if isinstance(data, dict) and "false_interruptions" not in data and "held_breaths" in data:
            return data | {"false_interruptions": data["held_breaths"]}
        return data

    def without_texts(self) -> TurnRecord:
        """Keep the figures only."""
        texts = {"caller_text", "bot_text_generated", "bot_text_heard", "fillers", "tools", "error"}
        return TurnRecord.model_validate(self.model_dump(exclude=texts) | {"withheld": True})


class TranscriptLine(Entry):
    """What caller and bot said; the bot's lines hold only what was heard."""

    speaker: Literal["caller", "bot"]
    text: Text
    at_s: float | None = None
    """Audio time at which it began."""
    is_filler: bool = False
    """Said to bridge a wait, no part of the answer."""


class RtpStatistics(Entry):
    """RTP of one call, both directions, as RTCP and the jitter buffer counted it."""

    received_packets: int = 0
    received_bytes: int = 0
    """Of payload, without RTP headers; `sent_bytes` likewise."""
    received_lost: int = 0
    received_discarded: int = 0
    received_reordered: int = 0
    received_duplicated: int = 0
    received_jitter_ms: Milliseconds | None = None
    sent_packets: int = 0
    sent_bytes: int = 0
    sent_lost: int = 0
    """As the other side reported."""
    sent_jitter_ms: Milliseconds | None = None
    round_trip_ms: Milliseconds | None = None
    jitter_buffer_ms: Milliseconds | None = None
    """Mean delay of the jitter buffer."""
    remote_address: Text = ""
    """host:port that RTP really came from; empty when none came."""
    signalled_address: Text = ""
    """host:port of the other side's description."""
    source_changes: int = 0
    """How often RTP came from another address than before."""
    foreign_packets: int = 0
    """Packets from elsewhere, which were not let in."""


class EchoRecord(Entry):
    """What came back of the bot's own sound."""

    delay_ms: Milliseconds
    """From being handed to RTP to being received."""
    return_loss_db: float
    """How much quieter the echo is than what was sent."""
    enhancement_db: float | None = None
    """How much more the canceller took out of it; None when nothing was measured."""


class CallSummary(Entry):
    """A call without its turns: what a list of calls shows."""

    call_id: str
    host: Text = ""
    """The gateway that had the call."""
    state: Literal["active", "finished"] = "active"
    direction: Literal["in", "out"]
    caller: Text = ""
    called: Text = ""
    trunk: Text = ""
    source: Text = ""
    """host:port of the SIP peer."""
    sip_call_id: Text = ""
    agent: Text = ""
    route: Text = ""
    """The dialplan rule that took the call."""
    variant: Text = ""
    """Sides of the splits of its routers, such as `talk=a`; empty = it met none."""
    started_at: AwareDatetime
    answered_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    duration_s: float | None = None
    """From start to end."""
    talk_s: float | None = None
    """From answer to end; None when it was never answered."""
    end_reason: EndReason | None = None
    hung_up_by: HungUpBy = ""
    """The party that ended it; empty while it lasts, and where no party did (a crash)."""
    transfer: Literal["", "confirmed", "assumed", "failed", "unknown"] = ""
    """What the other side reported of the last transfer by REFER; empty where none was sent.
    assumed = it accepted and hung up without a report: the caller was connected, or hung up
    meanwhile.  unknown = nothing was reported in time."""
    end_text: Text = ""
    """The same in words: SIP reason, rule that refused, error."""
    sip_status: int | None = None
    """Final SIP status; 200 for a BYE."""
    codec: Text = ""


class CallRecord(CallSummary):
    """All of `call.json`."""

    version: int = VERSION
    """Version of this format; docs/records.md says what has changed.  None in a file = 1."""
    rtp: RtpStatistics | None = None
    echo: EchoRecord | None = None
    """None: no echo was found, or echo cancelling is off."""
    speculation: SpeculationRecord = SpeculationRecord()
    turns: tuple[TurnRecord, ...] = ()
    transcript: tuple[TranscriptLine, ...] = ()
    engines: tuple[EngineRecord, ...] = ()
    """Speech-to-speech engines of the call, in the order in which they came."""
    voice_profile: VoiceProfileRecord | None = None
    usage: tuple[UsageRecord, ...] = ()
    """Recognizers, language models and voices of the call, in the order of their first use."""
    routes: tuple[RouteRecord, ...] = ()
    """Routers that have chosen engines for the call."""
    spent: SpentRecord = SpentRecord()
    late_tools: tuple[ToolUse, ...] = ()
    """Tools whose outcome is part of no turn: it came when the last turn was over."""
    audio_s: float | None = None
    """Length of `audio.wav`."""
    records_errors: int = 0
    """Parts of the bundle that could not be written (disk full, ...)."""
    worker_pid: int | None = None
    worker_boot_id: str = ""
    """The run of the kernel in which that process id is meant."""
    worker_started_ticks: int | None = None
    """When that process was started, in clock ticks since boot: ids are given again."""
    software: str = f"voice-gateway {gateway.__version__}"

    def ended(
        self, at: datetime, reason: EndReason, text: str = "", sip_status: int | None = None
    ) -> CallRecord:
        """Return the finished record: durations and transcript worked out, the rest as it is."""
        update: dict[str, object] = {
            "state": "finished",
            "ended_at": at,
            "end_reason": reason,
            "hung_up_by": self.hung_up_by or hung_up_by(reason),
            "end_text": clean_text(text),
            "sip_status": self.sip_status if sip_status is None else sip_status,
            "duration_s": _seconds_between(self.started_at, at),
            "transcript": self.transcript or transcript_of(self.turns),
        }
        if self.answered_at is not None:
            update["talk_s"] = _seconds_between(self.answered_at, at)
        return self.model_copy(update=update)

    def summary(self) -> CallSummary:
        """Return the record without turns and details."""
        return CallSummary.model_validate(self.model_dump())


def transcript_of(turns: tuple[TurnRecord, ...]) -> tuple[TranscriptLine, ...]:
    """List what was said in the order of the turns, the bot's part as far as it was heard."""
    lines: list[TranscriptLine] = []
    for turn in turns:
        if turn.caller_text:
            lines.append(
                TranscriptLine(speaker="caller", text=turn.caller_text, at_s=turn.started_s)
            )
        for text, at_s in zip_longest(turn.fillers, turn.filler_starts_s):
            if text:
                lines.append(TranscriptLine(speaker="bot", text=text, at_s=at_s, is_filler=True))
        if turn.bot_text_heard:
            lines.append(
                TranscriptLine(speaker="bot", text=turn.bot_text_heard, at_s=turn.bot_started_s)
            )
    return tuple(lines)


def _seconds_between(start: datetime, end: datetime) -> float:
    return round(max(0.0, (end - start).total_seconds()), 3)
