"""How the SIP library is set up: one function per settings object, and its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gateway import __version__
from gateway.config.models import SipConfig
from gateway.sip import pj
from gateway.sip.edge_peer import EdgePeer
from gateway.sip.pcm import MEDIA_FORMAT

_CODECS = {"PCMU": "PCMU/8000/1", "PCMA": "PCMA/8000/1", "G722": "G722/16000/1"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 (the operator's choice, compared here only)


def library_settings(config: SipConfig, log: LibraryLog) -> pj.EpConfig:
    """Signalling on the loop thread, one media thread, no sound device, no silence suppression."""
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0  # signalling is pumped from the loop
    settings.uaConfig.mainThreadOnly = True  # DTMF callbacks too
    settings.uaConfig.maxCalls = config.max_calls
    settings.uaConfig.userAgent = f"voice-gateway/{__version__}"
    settings.medConfig.clockRate = MEDIA_FORMAT.sample_rate_hz
    settings.medConfig.sndClockRate = MEDIA_FORMAT.sample_rate_hz
    settings.medConfig.sndAutoCloseTime = -1  # else the clock stops a second after the last call
    settings.medConfig.audioFramePtime = MEDIA_FORMAT.ptime_ms
    settings.medConfig.channelCount = 1
    settings.medConfig.noVad = True
    settings.medConfig.ecTailLen = 0
    settings.medConfig.threadCnt = 1
    settings.logConfig.msgLogging = 1 if config.log_messages else 0
    settings.logConfig.level = 5 if config.log_messages else 2
    settings.logConfig.consoleLevel = settings.logConfig.level
    settings.logConfig.writer = log
    return settings


def transport_settings(config: SipConfig, edge: EdgePeer | None = None) -> pj.TransportConfig:
    """One SIP port on the bind address, or where the edge is, which hides it from all others."""
    settings = pj.TransportConfig()
    settings.port = config.port
    if edge:
        settings.boundAddress = edge.bind
        return settings
    settings.boundAddress = _bound(config)
    settings.publicAddress = config.public_address
    return settings


def account_settings(
    config: SipConfig, edge: EdgePeer | None = None, *, may_encrypt: bool = False
) -> pj.AccountConfig:
    """RTP, session timers, the way out; identity and registration are the caller's business.

    Args:
        config: ports and timers.
        edge: the way out.
        may_encrypt: take SRTP by SDES (RFC 4568) when the other side offers it; its keys are as
            safe as the signalling.  In offers of ours they would double the INVITE.
    """
    settings = pj.AccountConfig()
    rtp = settings.mediaConfig.transportConfig
    low, high = config.rtp_ports
    rtp.port, rtp.portRange = low, high - low
    rtp.boundAddress = _bound(config)
    rtp.publicAddress = config.public_address
    settings.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    settings.callConfig.timerMinSESec = config.session_min_s
    settings.callConfig.timerSessExpiresSec = config.session_expires_s
    settings.natConfig.iceEnabled = False
    srtp = pj.PJMEDIA_SRTP_OPTIONAL if may_encrypt else pj.PJMEDIA_SRTP_DISABLED
    settings.mediaConfig.srtpUse = srtp
    settings.mediaConfig.srtpSecureSignaling = 0
    if edge:
        settings.sipConfig.proxies.append(edge.uri)
    return settings


def set_codecs(library: pj.Endpoint, names: Sequence[str]) -> None:
    """Offer and accept these codecs in this order, no other."""
    wanted = {_CODECS[name]: 250 - place for place, name in enumerate(names)}
    for codec in library.codecEnum2():
        library.codecSetPriority(codec.codecId, wanted.get(codec.codecId, 0))


class LibraryLog(pj.LogWriter):
    """Collects the library's own messages; they come from any of its threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[tuple[int, str]] = deque(maxlen=500)

    def write(self, entry: pj.LogEntry) -> None:
        """Keep one message.  Any thread."""
        self._lines.append((entry.level, entry.msg.strip()))

    def drain(self) -> list[tuple[int, str]]:
        """Process what has arrived."""
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        return taken


def _bound(config: SipConfig) -> str:
    return "" if config.bind == EVERYWHERE else config.bind
