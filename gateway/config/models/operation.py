"""What an operator decides: API, processes, edge, audio, records, log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.models.table import Port, Table


class HttpConfig(Table):
    """`[http]`: the API, health and metrics."""

    bind: str = "127.0.0.1"
    port: Port = 8080
    api_keys: tuple[SecretStr, ...] = ()
    """Keys, or their hashes (`gateway key new`).  Without any key: loopback clients only."""
    read_keys: tuple[SecretStr, ...] = ()
    """The same for clients that may look (GET), but not act."""
    metrics_keys: tuple[SecretStr, ...] = ()
    """The same for clients that may read `/metrics` and `/readyz` only."""


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
    """How long calls may go on when the gateway or their worker is to end (SIGTERM, drain,
    replacement)."""
    stuck_after_s: Annotated[float, Field(ge=1)] = 5.0
    """A worker that is silent or late for this time gets no calls and is replaced; one that stays
    so four times as long is ended."""


class EdgeConfig(Table):
    """`[edge]`: Kamailio in front of the workers, when `workers.edge = "kamailio"`."""

    run: bool = True
    """Start Kamailio and keep it running; false = another process runs what is in `directory`."""
    directory: Path | None = None
    """Where its files are rendered (they hold secrets: mode 0700); none = a private temporary
    folder.  Needed with run = false, and to keep calls over a restart of the gateway."""
    join: str = ""
    """Address (host or host:port) of an edge on another host: this one runs workers only."""
    hosts: tuple[str, ...] = ()
    """Further hosts whose workers take calls from this edge, such as "10.0.0.2", or "10.0.0.2*8"
    where that host has 8 workers (default: as many as here)."""
    key: SecretStr = SecretStr("")
    """Secret that this host and those in `hosts` share, needed with `hosts` and `join`: edge and
    workers know each other by it.  Those of one host have a key that is made at start."""
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
    """Seconds without an answer after which the calls of a worker on another host are ended."""
    calls_per_s: Annotated[int, Field(ge=1)] = 100
    """New calls from all sources; more get 503 with Retry-After."""
    untrusted_requests_per_s: Annotated[int, Field(ge=1)] = 10
    """From one address that is neither allowed nor a trunk; more are dropped."""
    all_untrusted_requests_per_s: Annotated[int, Field(ge=1)] = 100
    """From all such addresses together; more are dropped."""
    ban_s: Annotated[int, Field(ge=1)] = 300
    """Nothing is taken from an address that floods or scans over TCP, or guesses passwords."""
    queue_s: Annotated[int, Field(ge=0, le=240)] = 0
    """How long a caller waits for a slot (182 Queued) when all are taken; 0 = refused at once."""
    queue_length: Annotated[int, Field(ge=1)] = 50
    """How many callers may wait."""


class RealtimeConfig(Table):
    """`[realtime]`: OpenAI-compatible sessions at `/v1/realtime` of the HTTP port."""

    enabled: bool = False
    workers: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
    """Processes of their own that sessions run in; auto = one per core."""
    sessions_per_worker: Annotated[int, Field(ge=1, le=1000)] = 40
    max_session_s: Annotated[float, Field(ge=10)] = 3600.0
    """A session is closed after this time, as at OpenAI."""
    output_lead_ms: Annotated[int, Field(ge=0, le=2000)] = 200
    """How far audio is sent ahead of real time: what a client has to play while the network is
    slow, and at most what it drops when the caller interrupts."""
    max_message_bytes: Annotated[int, Field(ge=65_536)] = 21_000_000
    """Of one message of a client: 15 MiB of audio in base64."""
    events_per_s: Annotated[int, Field(ge=10)] = 500
    """Messages of one client; more are answered by an error and not done."""
    new_sessions_per_minute: Annotated[int, Field(ge=1)] = 120
    """From one address; more are answered by 429."""
    allowed_origins: tuple[str, ...] = ()
    """Web sites, such as "https://shop.example.com", whose pages may open sessions; "*" = all.
    Pages of this host's own address may always."""


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
    deletion_grace_h: Annotated[float, Field(ge=0)] = 24.0
    """Hours between marking a record as too old and deleting it (at most half of what is kept)."""
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
