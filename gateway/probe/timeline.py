"""What was heard when: speech instants, turns, gaps, losses, clicks of one call.  Pure.

Every sample has an instant: that of its packet plus its place in it.  The definitions are those
of the gateway's own record (response gap, barge-in stop; `gateway.audio.audible`), taken at the
other end of the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.audio.audible import LEAST, audible_samples
from gateway.probe.g711 import Samples

_SAMPLE_NS = 125_000
_EARLY_NS = 40_000_000  # how long before its first loud sample speech may be noticed
_QUIET_NS = 300_000_000  # a pause inside a sentence is shorter; a cut or an end is not
_ONSET_NS = 100_000_000

Instants = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Audio:
    """Samples of one packet and the instant of its first."""

    at_ns: int
    """`time.monotonic_ns()`."""
    samples: Samples
    """int16[n], mono, 8 kHz."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One tick of the sender."""

    at_ns: int
    samples: Samples
    late_ms: float
    """How far behind its deadline the packet left."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One packet that came in."""

    at_ns: int
    sequence_number: int
    ssrc: int
    audio: Audio | None
    """None for digits and unknown payload types."""


@dataclass(frozen=True, slots=True)
class Spurt:
    """One stretch of speech; pauses below 300 ms belong to it."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of the caller and what the bot did about it."""

    speech_start_ns: int
    speech_end_ns: int
    response_gap_ms: float | None
    """Last audible caller sample to the bot's first after it; None = no answer."""
    barge_in_stop_ms: float | None
    """First audible caller sample to the bot's last, where it was talking; else None."""
    heard_after_stop_ms: float
    """Bot speech after its stop and before the caller had finished: ought to be 0."""


def loud_instants(audio: Sequence[Audio] | Sequence[Departure], over: float = LEAST) -> Instants:
    """Instants (ns, ascending) of all samples that are audible beside the loudest.

    Args:
        audio: of one voice.
        over: power from which it is heard over the noise behind it.
    """
    if not audio:
        return np.empty(0, np.int64)
    samples = np.concatenate([packet.samples for packet in audio])
    offsets = [np.arange(len(p.samples), dtype=np.int64) * _SAMPLE_NS + p.at_ns for p in audio]
    return np.sort(np.concatenate(offsets)[audible_samples(samples, over)])


def spurts(loud: Instants, quiet_ns: int = _QUIET_NS) -> list[Spurt]:
    """Group loud instants; a pause of `quiet_ns` or more starts a new group."""
    if not len(loud):
        return []
    cuts = np.flatnonzero(np.diff(loud) >= quiet_ns)
    starts, ends = np.r_[0, cuts + 1], np.r_[cuts, len(loud) - 1]
    return [Spurt(int(loud[a]), int(loud[b])) for a, b in zip(starts, ends, strict=True)]


def measure_turns(caller: Sequence[Instants], bot: Instants) -> list[Turn]:
    """Measure each utterance of the caller (its loud instants) against the bot's.

    Utterances without any loud sample are left out.
    """
    utterances = [u for u in caller if len(u)]
    starts = [int(u[0]) for u in utterances]
    limits = [*starts[1:], np.iinfo(np.int64).max][: len(starts)]
    return [_turn(u, bot, limit) for u, limit in zip(utterances, limits, strict=True)]


def cut_steps(audio: Sequence[Audio], spurt: Spurt) -> tuple[int, int]:
    """Largest sample step where a spurt ends, and the largest inside it.

    A cut that is no click ends with a step no larger than the speech's own.

    Returns:
        Steps in sample units: within 5 ms before to 30 ms after the last loud sample, and
        in the 500 ms before that.
    """
    near = [p for p in audio if abs(p.at_ns - spurt.end_ns) < 700_000_000]
    if not near:
        return 0, 0
    samples = np.concatenate([packet.samples for packet in near]).astype(np.int32)
    instants = np.concatenate(
        [np.arange(len(p.samples), dtype=np.int64) * _SAMPLE_NS + p.at_ns for p in near]
    )
    steps, at = np.abs(np.diff(samples)), instants[1:] - spurt.end_ns
    end = steps[(at > -5_000_000) & (at <= 30_000_000)]
    own = steps[(at > -500_000_000) & (at <= -5_000_000)]
    return int(end.max(initial=0)), int(own.max(initial=0))


def frame_gaps_ms(arrivals: Sequence[Arrival]) -> NDArray[np.float64]:
    """Milliseconds between consecutive audio packets, in order of arrival."""
    instants = [packet.at_ns for packet in arrivals if packet.audio is not None]
    return np.diff(np.array(instants, np.float64)) / 1e6


def lost_packets(arrivals: Sequence[Arrival]) -> int:
    """Sequence numbers that never came, over all streams (SSRCs) of the call."""
    streams: dict[int, list[int]] = {}
    for packet in arrivals:
        streams.setdefault(packet.ssrc, []).append(packet.sequence_number)
    return sum(_missing(numbers) for numbers in streams.values())


def _missing(numbers: list[int]) -> int:
    """Missing among 16-bit numbers that may wrap around and swap places."""
    extended = [numbers[0]]
    for number in numbers[1:]:
        step = (number - extended[-1] + 0x8000) % 0x10000 - 0x8000
        extended.append(extended[-1] + step)
    return max(extended) - min(extended) + 1 - len(set(extended))


def _turn(caller: Instants, bot: Instants, limit_ns: int) -> Turn:
    start, end = int(caller[0]), int(caller[-1])
    stop = _stop(bot, start)
    after_stop = bot[(bot > (start if stop is None else stop)) & (bot < end)]
    answer = _onset(bot, end, limit_ns)
    return Turn(
        speech_start_ns=start,
        speech_end_ns=end,
        response_gap_ms=None if answer is None else (answer - end) / 1e6,
        barge_in_stop_ms=None if stop is None else max(0, stop - start) / 1e6,
        heard_after_stop_ms=sum((s.end_ns - s.start_ns) / 1e6 for s in spurts(after_stop)),
    )


def _stop(bot: Instants, start_ns: int) -> int | None:
    """The bot's last loud sample of the stretch that was going on at `start_ns`.

    A voice detector may fire before the first loud sample, and the bot be silent by
    then.
    """
    for spurt in spurts(bot):
        if spurt.start_ns < start_ns < spurt.end_ns + _EARLY_NS:
            return spurt.end_ns
    return None


def _onset(bot: Instants, end_ns: int, limit_ns: int) -> int | None:
    """The first loud sample after `end_ns` that follows a moment of quiet."""
    quiet_before = np.diff(bot, prepend=np.iinfo(np.int64).min // 2) >= _ONSET_NS
    onsets = bot[quiet_before & (bot > end_ns) & (bot < limit_ns)]
    return int(onsets[0]) if len(onsets) else None
