"""The probe's report of one call (JSON) and its recording (stereo WAV)."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.probe.caller import Call
from gateway.probe.g711 import Samples
from gateway.probe.media import RtpPeer
from gateway.probe.performance import Performance, spoken_instants, turn_fields
from gateway.probe.rtp import SAMPLE_RATE_HZ
from gateway.probe.sdp import STATIC_NAMES
from gateway.probe.timeline import (
    Arrival,
    cut_steps,
    frame_gaps_ms,
    lost_packets,
    loud_instants,
    measure_turns,
    spurts,
)

_SLACK_SAMPLES = 480  # 60 ms: network jitter moves nothing in the recording, a pause does


def build_report(call: Call, media: RtpPeer, performance: Performance) -> dict[str, object]:
    """Measure a finished call; all times in milliseconds, instants since the INVITE."""
    origin = call.times.invite_ns or 0
    audio = [packet.audio for packet in media.received if packet.audio is not None]
    bot = loud_instants(audio)
    heard = spurts(bot)
    return {
        "status": call.status,
        "ended_by": call.ended_by,
        "problems": performance.problems,
        "invite_to_200_ms": _between(call.times.invite_ns, call.times.answered_ns),
        "ack_to_first_bot_ms": _between(call.times.ack_ns, heard[0].start_ns if heard else None),
        "call_ms": _between(call.times.answered_ns, call.times.ended_ns),
        "turns": _turns(media, performance, bot),
        "bot_spurts": [
            {
                "start_ms": _between(origin, spurt.start_ns),
                "end_ms": _between(origin, spurt.end_ns),
                "end_step": cut_steps(audio, spurt)[0],
                "own_step": cut_steps(audio, spurt)[1],
            }
            for spurt in heard
        ],
        "media": _negotiated(media),
        "rtp": rtp_statistics(media),
        "bot_digits": performance.digits,
        "info_digits": call.digits,
        "referred_to": call.referred_to,
        "requests": call.requests,
    }


def _negotiated(media: RtpPeer) -> dict[str, object]:
    """Return where the other side wants its audio, and as what."""
    address, port = media.remote or ("", 0)
    codec = STATIC_NAMES[media.payload_type].partition("/")[0]
    return {"address": address, "port": port, "codec": codec}


def rtp_statistics(media: RtpPeer) -> dict[str, object]:
    """Return what arrived, in what rhythm, and how precisely we sent."""
    gaps = frame_gaps_ms(media.received)
    late = np.array([tick.late_ms for tick in media.sent])
    return {
        "received": len(media.received),
        "lost": lost_packets(media.received),
        "streams": len({packet.ssrc for packet in media.received}),
        "not_rtp": media.not_rtp,
        "frame_gap_ms": _percentiles(gaps),
        "sent": len(media.sent),
        "pacing_error_ms": _percentiles(late),
    }


def write_recording(path: Path, media: RtpPeer) -> None:
    """Write both sides: left the caller as sent, right the bot as received."""
    if not media.sent:
        return
    left = np.concatenate([tick.samples for tick in media.sent])
    right = _lay_out(media.received, media.sent[0].at_ns)
    length = max(len(left), len(right))
    stereo = np.zeros((length, 2), "<i2")
    stereo[: len(left), 0] = left
    stereo[: len(right), 1] = right
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(stereo.tobytes())


def _turns(
    media: RtpPeer, performance: Performance, bot: NDArray[np.int64]
) -> list[dict[str, object]]:
    spoken = [(line, spoken_instants(media, line)) for line in performance.lines]
    audible = [(line, instants) for line, instants in spoken if len(instants)]
    turns = measure_turns([instants for _, instants in audible], bot)
    return [turn_fields(line.text, turn) for (line, _), turn in zip(audible, turns, strict=True)]


def _lay_out(arrivals: list[Arrival], origin_ns: int) -> Samples:
    """Place received audio on a time line; packets in a row stay seamless."""
    pieces: list[Samples] = []
    filled = 0
    for arrival in arrivals:
        if arrival.audio is None:
            continue
        place = (arrival.at_ns - origin_ns) // 125_000
        if place - filled > _SLACK_SAMPLES:
            pieces.append(np.zeros(place - filled, np.int16))
            filled = place
        pieces.append(arrival.audio.samples)
        filled += len(arrival.audio.samples)
    return np.concatenate(pieces) if pieces else np.empty(0, np.int16)


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    if start_ns is None or end_ns is None:
        return None
    return round((end_ns - start_ns) / 1e6, 1)


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    if not len(values):
        return {}
    names = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(values, q)), 2) for name, q in names.items()}
