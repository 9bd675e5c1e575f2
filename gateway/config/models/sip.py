"""Where calls come from and go to: `[sip]`, `[outgoing]`, `[[trunks]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from gateway.config.models.table import Port, Table

Codec = Literal["PCMU", "PCMA", "G722"]
DtmfMethod = Literal["auto", "rfc4733", "info", "tones"]
"""How keys are sent, and whether tones in the audio are keys."""


class UntrustedConfig(Table):
    """`[sip.untrusted]`: callers that are no trunk, not in `allow_sources` and not authenticated.

    With `allow_sources = ["0.0.0.0/0"]` anyone may call in, as an untrusted caller.
    """

    requests_per_s: Annotated[float, Field(ge=0.5)] = 10.0
    """Per source, bursts of two seconds; what is above is dropped without an answer."""
    all_requests_per_s: Annotated[int, Field(ge=1)] = 200
    """The same for all of them together."""
    calls: Annotated[int, Field(ge=0)] = 3
    """Slots that they may use together; the rest is kept for known callers."""
    calls_per_source: Annotated[int, Field(ge=1)] = 2
    unacknowledged: Annotated[int, Field(ge=1)] = 2
    """Of these slots, those whose call has not had its ACK yet."""
    unacknowledged_per_source: Annotated[int, Field(ge=1)] = 1
    ack_timeout_s: Annotated[float, Field(gt=0, le=32)] = 3.0
    """A call without an ACK is ended after this time."""
    wrong_passwords_per_minute: Annotated[int, Field(ge=1)] = 10
    """Per source; above that, passwords from there are not checked for a while."""


class SipConfig(Table):
    """`[sip]`: where calls come in, and from which sources."""

    bind: str = "127.0.0.1"
    port: Port = 5060
    public_address: str = ""
    """Address for SDP and Contact; empty = the interface's own."""
    rtp_ports: tuple[Port, Port] = (20000, 20999)
    transports: tuple[Literal["udp", "tcp"], ...] = ("udp", "tcp")
    codecs: tuple[Codec, ...] = ("PCMU", "PCMA", "G722")
    """In order of preference."""
    dtmf: DtmfMethod = "auto"
    """auto = telephone-event (RFC 4733) where the other side has it, else tones; the others
    always.  Keys that come as telephone-event or INFO are always taken."""
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
    """Seconds without a sign of the other side after which a call ends (no RTP, RTCP nor request
    in the call; not while on hold or while the bot speaks)."""
    rtp_relearn_s: Annotated[float, Field(ge=0)] = 10.0
    """Let another address take over a call's RTP when the old one is silent for this time, RTCP
    included; 0 = never."""
    max_hold_s: Annotated[float, Field(gt=0)] = 1800.0
    max_call_s: Annotated[float, Field(gt=0)] = 7200.0
    log_messages: bool = False
    """Log every SIP message at debug level (may hold personal data)."""
    untrusted: UntrustedConfig = UntrustedConfig()


class OutgoingConfig(Table):
    """`[outgoing]`: calls that the gateway places, and transfers.  None, unless allowed here."""

    allow: tuple[str, ...] = ()
    """Destinations: numbers over a trunk (`"+49*"`), addresses (`"sip:*@pbx.example"`)."""
    deny: tuple[str, ...] = ("+870*", "+881*", "+882*", "+883*", "+979*")
    """What stays closed, whatever is allowed; by default satellites and international premium
    numbers.  "+" fits the dialled 00 and 011, too."""
    calls_per_minute: Annotated[int, Field(ge=1)] = 10
    """Of the whole gateway (one machine), transfers included."""
    calls_per_hour: Annotated[int, Field(ge=1)] = 60
    concurrent: Annotated[int, Field(ge=1)] = 4
    """Placed calls at the same time."""


class TrunkConfig(Table):
    """`[[trunks]]`: a carrier or PBX."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    server: str
    """Host, which may have SRV records, or host:port of the registrar and proxy."""
    outbound_proxy: str = ""
    """Host or host:port that requests are sent to instead; `server` stays what they name."""
    user: str = ""
    """Account; empty = no registration, calls by address."""
    auth_user: str = ""
    """Digest user where it differs from `user`."""
    password: SecretStr = SecretStr("")
    realm: str = ""
    """The only realm that the password is proved to; empty = as the registrar asks for it."""
    caller_id: str = ""
    """Number that placed calls show; empty = `user`.  A call may say another."""
    asserted_identity: bool = False
    """Send it as P-Asserted-Identity (RFC 3325) too."""
    register_: Annotated[bool, Field(alias="register")] = True
    transport: Literal["udp", "tcp", "tls"] = "udp"
    """tls needs `workers.edge = "kamailio"`."""
    srtp: Literal["off", "offer", "require"] = "off"
    """Of calls placed over it.  offer = keys within an offer of plain RTP, so both sides may do
    without; require = RTP/SAVP.  Calls that come in are encrypted when the trunk offers it."""
    dtmf: DtmfMethod | None = None
    """As in `[sip]`; none = as there."""
    expires_s: Annotated[int, Field(ge=30)] = 300
    retry_min_s: Annotated[float, Field(gt=0)] = 2.0
    retry_max_s: Annotated[float, Field(gt=0)] = 120.0
    context: str = "default"
    """Dialplan context of its incoming calls."""
    called_from: Literal["auto", "request-uri", "to", "p-called-party-id", "diversion"] = "auto"
    """Where the called number is; auto = in the Request-URI, and where that names the account, in
    P-Called-Party-ID or To."""
    caller_from: Literal["from", "p-asserted-identity"] = "from"
    """Where the caller's number is; the second only where the trunk removes what callers write."""
