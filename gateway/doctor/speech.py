"""Speech-to-speech engines: a session is opened as a call in PCMU would open it, and closed."""

from __future__ import annotations

import re
import time

from gateway.audio.format import AudioFormat
from gateway.config.engine_table import EngineTable
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers import registry
from gateway.providers.speech_to_speech import Opening

PCMU = AudioFormat(8000, encoding="pcmu")
"""How most telephone lines code their audio."""
_OWNERS = {
    "engine": "the engine ends turns",
    "gateway": "the gateway ends turns",
    "none": "full duplex, without turns",
}
_WORDS: tuple[tuple[str, str], ...] = (
    (
        r"HTTP 401|HTTP 403|api.?key|authenti|unauthori|permission",
        "check api_key: is the variable behind ${...} set for the gateway's own process, and may"
        " the key use this engine?",
    ),
    (r"certificate", "check base_url, and tls_ca_file where the server has a certificate of yours"),
    (r"ws://", "write wss:// in base_url; ws:// is for this host and private networks"),
    (r"voice", "check voice: does the vendor have it, for this model?"),
    (r"model", "check model: does the vendor have it, and may this account use it?"),
    (r"audio (?:in|out)put", "set both audio formats of the agent at the vendor to ulaw_8000"),
    (r"HTTP 404", "check base_url, and the ids in the s2s table"),
)
"""Words of a refusal -> what to do; the first that fits."""


async def try_session(table: EngineTable, language: str) -> tuple[float, str]:
    """Open a session and close it.

    Args:
        table: `s2s` of an agent.
        language: of the agent.

    Returns:
        Milliseconds until it was accepted, and what a call would get, in words.

    Raises:
        ProviderError: no session.
    """
    engine = registry.create("s2s", table)
    opening = Opening(
        call_id="doctor",
        instructions="You are being tested. Say nothing.",
        language=language,
        line=PCMU,
    )
    try:
        started_s = time.monotonic()
        async with engine.connect(opening) as session:
            ms = (time.monotonic() - started_s) * 1000
            sent, heard = _coding(session.input_format), _coding(session.output_format)
            turns = session.turns
    finally:
        await engine.close()
    return ms, f"; of a PCMU call it gets {sent} and sends {heard}; {_OWNERS[turns]}"


def _coding(form: AudioFormat) -> str:
    if form == PCMU:
        return "PCMU untouched"
    if form.encoding != "s16":
        return f"{form.encoding.upper()}, converted"
    return f"linear audio of {form.sample_rate_hz / 1000:g} kHz, converted"


_FIXES: tuple[tuple[type[ProviderError], str], ...] = (
    (
        QuotaExceeded,
        "the account has nothing left: pay, or raise its quota at the vendor; until then calls go"
        " on as on_failure of the s2s table says",
    ),
    (
        RateLimited,
        "the account has too many sessions or requests now: raise that limit at the vendor, or"
        " lower sip.max_calls or warm_sessions",
    ),
    (
        ProviderRejected,
        "check the s2s table of the agent: the vendor's words say what it refuses",
    ),
    (ProviderProtocolError, "is that a server of this engine? Check provider and base_url"),
    (
        ProviderTimeout,
        "is the server busy, or a firewall in the way (outgoing TCP, mostly port 443)? If it is"
        " only far away, raise connect_timeout_s",
    ),
    (ProviderError, "can this machine reach it? Check base_url, name resolution and the firewall"),
)
"""The first that fits."""


def fix_of(error: ProviderError) -> str:
    """Return what to do about an engine that gave no session.  Pure."""
    if " install " in error.problem:
        return "install what is missing; `gateway providers` lists what is ready"
    if re.search(r"HTTP 5\d\d", error.problem):
        return "the server has trouble of its own: see the vendor's status page, try later"
    if isinstance(error, ProviderRejected) and not isinstance(error, QuotaExceeded):
        for words, fix in _WORDS:
            if re.search(words, error.problem, re.IGNORECASE):
                return fix
    return next(fix for kind, fix in _FIXES if isinstance(error, kind))
