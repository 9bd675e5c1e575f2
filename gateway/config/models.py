"""Every configuration value, its unit and its default.  No I/O."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Port = Annotated[int, Field(ge=1, le=65535)]
Codec = Literal["PCMU", "PCMA", "G722"]
Eagerness = Literal["low", "medium", "high", "auto"]
"""low = rather wait, high = rather answer, auto = learn from the caller's own pauses."""
BuiltinTool = Literal[
    "hang_up", "transfer_call", "send_dtmf", "pause_recording", "resume_recording"
]


class Table(BaseModel):
    """A TOML table: frozen, unknown keys are errors, defaults are checked too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class StrangersConfig(Table):
    """`[sip.strangers]`: callers who are no trunk, not in `allow_sources` and not authenticated.

    With `allow_sources = ["0.0.0.0/0"]` anybody may call in, as a stranger.
    """

    requests_per_s: Annotated[float, Field(ge=0.5)] = 10.0
    """Per source, bursts of two seconds; what is above is dropped without an answer."""
    all_requests_per_s: Annotated[int, Field(ge=1)] = 200
    """The same for all of them together."""
    calls: Annotated[int, Field(ge=0)] = 3
    """Slots that they may have together; the rest is kept for those who are known."""
    calls_per_source: Annotated[int, Field(ge=1)] = 2
    unacknowledged: Annotated[int, Field(ge=1)] = 2
    """Of these slots, those whose call has not had its ACK yet."""
    unacknowledged_per_source: Annotated[int, Field(ge=1)] = 1
    ack_timeout_s: Annotated[float, Field(gt=0, le=32)] = 3.0
    """A call without an ACK is given up after so long."""
    wrong_passwords_per_minute: Annotated[int, Field(ge=1)] = 10
    """Per source; then nobody there can authenticate for a while."""


class SipConfig(Table):
    """`[sip]`: where and from whom calls come in."""

    bind: str = "127.0.0.1"
    port: Port = 5060
    public_address: str = ""
    """Address for SDP and Contact; empty = the interface's own."""
    rtp_ports: tuple[Port, Port] = (20000, 20999)
    transports: tuple[Literal["udp", "tcp"], ...] = ("udp", "tcp")
    codecs: tuple[Codec, ...] = ("PCMU", "PCMA", "G722")
    """In order of preference."""
    allow_sources: tuple[str, ...] = ()
    """CIDR networks that may call in; trunk servers are always allowed.  Empty on a loopback
    bind = loopback; empty elsewhere = only trunks and digest `users`."""
    users: dict[str, SecretStr] = {}
    """Digest credentials (name = password); when set, sources not allowed above must
    authenticate."""
    realm: str = "voice-gateway"
    max_calls: Annotated[int, Field(ge=1, le=4)] = 4
    """Slots of one worker; the SIP library cannot hold more than four."""
    retry_after_s: Annotated[int, Field(ge=1, le=3600)] = 5
    session_expires_s: Annotated[int, Field(ge=90)] = 1800
    """RFC 4028 interval that we ask for."""
    session_min_s: Annotated[int, Field(ge=90)] = 90
    ring_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """How long an outgoing call may ring."""
    no_media_timeout_s: Annotated[float, Field(gt=0)] = 20.0
    """End a call when the other side sends no RTP for so long (not while on hold)."""
    max_hold_s: Annotated[float, Field(gt=0)] = 1800.0
    max_call_s: Annotated[float, Field(gt=0)] = 7200.0
    log_messages: bool = False
    """Log every SIP message at debug level (may hold personal data)."""
    strangers: StrangersConfig = StrangersConfig()


class OutgoingConfig(Table):
    """`[outgoing]`: calls that the gateway places, and transfers.  None, unless allowed here."""

    allow: tuple[str, ...] = ()
    """Destinations: numbers over a trunk (`"+49*"`), addresses (`"sip:*@pbx.example"`)."""
    calls_per_minute: Annotated[int, Field(ge=1)] = 10
    """Of the whole gateway (one machine), transfers included."""
    calls_per_hour: Annotated[int, Field(ge=1)] = 60
    concurrent: Annotated[int, Field(ge=1)] = 4
    """Placed calls at the same time."""


class HttpConfig(Table):
    """`[http]`: the API, health and metrics."""

    bind: str = "127.0.0.1"
    port: Port = 8080
    api_keys: tuple[SecretStr, ...] = ()
    """Keys, or their hashes (`gateway key new`).  Without any key: loopback clients only."""
    read_keys: tuple[SecretStr, ...] = ()
    """The same for clients that may look (GET), but not act."""


class WorkersConfig(Table):
    """`[workers]`: how many processes take calls, and what stands in front of them."""

    count: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = 1
    """Each takes up to `sip.max_calls` calls; more than one need an edge.  auto = two per core,
    as memory allows."""
    edge: Literal["none", "kamailio"] = "none"
    """none = one worker on `sip.port`; kamailio = it takes `sip.port`, worker i has port + i."""
    recognizers: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
    """Callers recognized at the same time, by processes that the workers share; auto = one per
    core, but not more than workers."""
    drain_limit_s: Annotated[float, Field(ge=0)] = 300.0
    """So long calls may go on when the gateway or their worker is to end (SIGTERM, drain,
    replacement)."""
    stuck_after_s: Annotated[float, Field(ge=1)] = 5.0
    """A worker that is silent or late for so long gets no calls and is replaced; one that stays
    so four times as long is ended."""


class EdgeConfig(Table):
    """`[edge]`: Kamailio in front of the workers, when `workers.edge = "kamailio"`."""

    run: bool = True
    """Start Kamailio and keep it running; false = somebody else runs what is in `directory`."""
    directory: Path | None = None
    """Where its files are rendered (they hold secrets: mode 0700); none = a private temporary
    folder.  Needed with run = false, and to keep calls over a restart of the gateway."""
    join: str = ""
    """Address (host or host:port) of an edge on another host: this one runs workers only."""
    hosts: tuple[str, ...] = ()
    """Further hosts whose workers take calls from this edge, such as "10.0.0.2", or "10.0.0.2*8"
    where that host has 8 workers (default: as many as here)."""
    tls_port: Port = 5061
    tls_certificate: Path | None = None
    """PEM file with the chain; with it, calls are taken over TLS (1.2 and later) too."""
    tls_key: Path | None = None
    tls_ca: Path = Path("/etc/ssl/certs")
    """Folder (as `c_rehash` makes it) or PEM file that certificates of trunks with
    transport = "tls" are checked with."""
    processes: Annotated[int, Field(ge=1, le=64)] = 4
    """SIP processes of Kamailio for each transport."""
    probe_s: Annotated[int, Field(ge=1, le=60)] = 2
    """Seconds between two OPTIONS to each worker; one that misses two gets no calls."""
    first_answer_ms: Annotated[int, Field(ge=500, le=10000)] = 2000
    """A worker that has not answered an INVITE at all by then: the next one is tried."""
    lost_after_s: Annotated[float, Field(ge=2, le=300)] = 10.0
    """The calls of a worker on another host that does not answer for so long are ended."""
    calls_per_s: Annotated[int, Field(ge=1)] = 100
    """New calls from everybody; more get 503 with Retry-After."""
    stranger_requests_per_s: Annotated[int, Field(ge=1)] = 10
    """From one address that is neither allowed nor a trunk; more, and it is banned."""
    strangers_requests_per_s: Annotated[int, Field(ge=1)] = 100
    """From all such addresses together; more are dropped."""
    ban_s: Annotated[int, Field(ge=1)] = 300
    queue_s: Annotated[int, Field(ge=0, le=240)] = 0
    """So long a caller waits for a slot (182 Queued) when all are taken; 0 = refused at once."""
    queue_length: Annotated[int, Field(ge=1)] = 50
    """So many may wait."""


class MediaConfig(Table):
    """`[media]`: the audio of every call."""

    echo_cancel: bool = True
    """Take the bot's own echo out of what turn-taking and recognition hear."""
    echo_tail_ms: Annotated[int, Field(ge=32, le=512)] = 256
    """How long an echo may ring; the delay before it is found by itself."""
    max_echo_delay_ms: Annotated[int, Field(ge=50, le=2000)] = 800


class RecordsConfig(Table):
    """`[records]`: the bundle of every call."""

    directory: Path = Path("calls")
    audio: bool = True
    """Keep `audio.wav` (stereo: left caller, right bot)."""
    database: SecretStr = SecretStr("")
    """`postgresql://USER@HOST/NAME`, shared by several gateways; empty = SQLite in `directory`."""
    store: str = ""
    """`s3://BUCKET/PREFIX?endpoint=URL&region=NAME`; empty = bundles stay in `directory`."""
    keep_local: bool = False
    """Keep the bundle in `directory` when it is in the store."""
    keep_days: Annotated[float, Field(ge=0)] = 0.0
    """Calls older than this are deleted everywhere; 0 = never."""
    keep_audio_days: Annotated[float, Field(ge=0)] = 0.0
    """The same for `audio.wav` alone."""
    redact: str = ""
    """What every text goes through before it is kept: `path/to/file.py:function` or
    `package.module:function`."""
    host: str = ""
    """Name of this gateway among those that share a database; empty = the machine's name."""


class LogConfig(Table):
    """`[log]`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """auto = console on a terminal, else JSON lines."""


class TrunkConfig(Table):
    """`[[trunks]]`: a carrier or PBX."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    server: str
    """Host or host:port of the registrar and proxy."""
    user: str = ""
    """Account; empty = no registration, calls by address."""
    auth_user: str = ""
    """Digest user where it differs from `user`."""
    password: SecretStr = SecretStr("")
    register_: Annotated[bool, Field(alias="register")] = True
    transport: Literal["udp", "tcp", "tls"] = "udp"
    """tls needs `workers.edge = "kamailio"`."""
    expires_s: Annotated[int, Field(ge=30)] = 300
    retry_min_s: Annotated[float, Field(gt=0)] = 2.0
    retry_max_s: Annotated[float, Field(gt=0)] = 120.0
    context: str = "default"
    """Dialplan context of its incoming calls."""


class BargeInConfig(Table):
    """`[agents.NAME.turn.barge_in]`: what the caller must do to make the bot stop."""

    interruptible: bool = True
    """False = the bot finishes whatever the caller says; what was said is answered then."""
    protect_s: Annotated[float, Field(ge=0)] = 0.0
    """So much of the call's first bot speech cannot be interrupted (legal notices)."""
    digits: bool = True
    """A key interrupts."""
    pause_probability: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Speech probability of one 32 ms chunk at which the bot holds its breath."""
    verdict_ms: Annotated[int, Field(ge=100, le=2000)] = 400
    """Within so much it stops for good or goes on."""


class TurnConfig(Table):
    """`[agents.NAME.turn]`: when the caller's turn starts and ends, all in audio time."""

    start_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Speech probability of one 32 ms chunk that counts as speech."""
    start_chunks: Annotated[int, Field(ge=1)] = 2
    """So many such chunks in a row start an utterance."""
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
    eagerness: Eagerness = "medium"
    reopen_ms: Annotated[int, Field(ge=0)] = 1500
    """A caller who goes on within so much of the reply continues the turn: the answer is taken
    back and the next one covers the whole."""
    sure_ms: Annotated[int, Field(ge=0)] = 1000
    """Silence after which a turn is surely over: no tool with side effects starts before."""
    barge_in: BargeInConfig = BargeInConfig()


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
    """So many tokens of dropped replies per call (partly estimated) end it."""


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
    """Without a word of the reply for so long, it has failed."""


class AgentConfig(Table):
    """`[agents.NAME]`: one bot; `stt`, `llm`, `tts` name a provider and carry its settings."""

    greeting: str = ""
    """First sentence; empty = the language model speaks first."""
    instructions: str = ""
    language: str = "en"
    stt: dict[str, Any] = {"provider": "moonshine"}
    llm: dict[str, Any] = {"provider": "script"}
    tts: dict[str, Any] = {"provider": "flite"}
    tools: tuple[str, ...] = ()
    """Function tools: `package.module:function` or `path/to/file.py:function`."""
    record: bool = True
    """False = neither sound nor texts of its calls are kept."""
    builtin_tools: tuple[BuiltinTool, ...] = ("hang_up",)
    transfer_targets: dict[str, str] = {}
    """Names that `transfer_call` may use and the SIP URIs behind them; empty = no transfer."""
    tool_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    llm_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """To the first token of a reply."""
    history_messages: Annotated[int, Field(ge=2)] = 60
    """The oldest messages beyond so many are dropped."""
    fallback: str = "I am sorry, I have a technical problem. Could you say that again?"
    """Spoken when an engine fails in mid-talk."""
    give_up: str = "I am sorry, I cannot help you right now. Please call again later. Goodbye."
    """Spoken before hanging up when engines keep failing."""
    transfer_failed: str = "I am sorry, nobody answers there. Can I help you with something else?"
    """Spoken when a transfer was refused or failed."""
    turn: TurnConfig = TurnConfig()
    silence: SilenceConfig = SilenceConfig()
    speculation: SpeculationConfig = SpeculationConfig()
    filler: FillerConfig = FillerConfig()


class DialplanConfig(Table):
    """`[dialplan]`."""

    directory: Path | None = None
    """Folder of *.toml; none = every call goes to the default agent."""


class GatewayConfig(Table):
    """`gateway.toml`."""

    sip: SipConfig = SipConfig()
    outgoing: OutgoingConfig = OutgoingConfig()
    http: HttpConfig = HttpConfig()
    workers: WorkersConfig = WorkersConfig()
    edge: EdgeConfig = EdgeConfig()
    records: RecordsConfig = RecordsConfig()
    media: MediaConfig = MediaConfig()
    log: LogConfig = LogConfig()
    trunks: tuple[TrunkConfig, ...] = ()
    agents: dict[str, AgentConfig] = {"front-desk": AgentConfig()}
    default_agent: str = ""
    """Agent of calls that no dialplan rule takes; empty = the only one, or the first."""
    dialplan: DialplanConfig = DialplanConfig()
