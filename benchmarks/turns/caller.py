"""One call of the harness: says the given turns, keeps all that was sent and heard."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks._gateway import Gateway
from benchmarks.turns import corpus
from benchmarks.turns.corpus import Utterance
from gateway.errors import SipError
from gateway.probe import scenario
from gateway.probe.caller import Call
from gateway.probe.g711 import Samples
from gateway.probe.media import RtpPeer
from gateway.probe.performance import Line, Performance
from gateway.probe.rtp import FRAME_SAMPLES, Impairments
from gateway.probe.timeline import (
    Audio,
    Departure,
    Instants,
    Turn,
    loud_instants,
    measure_turns,
)
from gateway.probe.transactions import open_sip_socket
from gateway.records.model import CallRecord, TurnRecord

_numbers = itertools.count(1)
_LONGEST_S = 900.0
_ORIGIN_NS = 500_000_000
_NEAR_NS = 500_000_000
Part = scenario.Step | Utterance


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance on the wire."""

    utterance: Utterance
    instants: Instants
    """When its own loud samples (without noise) were sent, ns."""
    limit_ns: int
    """When the next one began."""
    turn: Turn
    reported: list[TurnRecord] = field(default_factory=list)
    """The gateway's turns that began within it."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A call that is over."""

    said: list[Said]
    bot: Instants
    """The bot's loud samples as they came, ns."""
    audio: list[Audio]
    record: CallRecord
    problems: list[str]
    bundle: Path
    """Folder of the gateway's records, gone with the gateway."""

    @property
    def heard(self) -> Samples:
        """All audio that came, packets in a row."""
        samples = [packet.samples for packet in self.audio]
        return np.concatenate(samples) if samples else np.empty(0, np.int16)


async def call(
    gateway: Gateway,
    parts: Sequence[Part],
    *,
    impairments: Impairments | None = None,
    background: Samples | None = None,
) -> Trace:
    """Make one call and wait for the gateway's record of it.

    Args:
        gateway: who is called.
        parts: steps and utterances, acted out in turn.
        impairments: what happens to the caller's packets.
        background: heard behind the caller during the whole call, again and again.

    Raises:
        SipError: it was not answered.
        TimeoutError: it did not end, or there is no record of it.
    """
    speech: dict[scenario.Step, Samples] = {}
    steps: list[scenario.Step] = []
    spoken: list[Utterance] = []
    for part in parts:
        if isinstance(part, Utterance):
            spoken.append(part)
            step = scenario.Play(file=Path(f"{len(spoken)}"))
            speech[step] = part.sent
            steps.append(step)
        else:
            steps.append(part)
    caller = f"turns{os.getpid()}x{next(_numbers)}x"
    media = RtpPeer(impairments=impairments, background=background)
    try:
        async with asyncio.timeout(_LONGEST_S), open_sip_socket() as sip:
            sip_call = Call(sip, media, user=caller)
            performance = Performance(sip_call, media, speech, lambda _event, _fields: None)
            try:
                await sip_call.place(gateway.uri)
                await performance.run(scenario.Scenario(steps=tuple(steps)))
            finally:
                await sip_call.hang_up()
    finally:
        media.close()
    record = await gateway.record(caller)
    gc.collect()
    bundle = next((gateway.folder / "calls").glob(f"*/{record.call_id}"))
    return _trace(spoken, performance, media, record, bundle)


def _trace(
    spoken: Sequence[Utterance],
    performance: Performance,
    media: RtpPeer,
    record: CallRecord,
    bundle: Path,
) -> Trace:
    audio = [packet.audio for packet in media.received if packet.audio is not None]
    bot = loud_instants(audio)
    lines = zip(spoken, performance.lines, strict=False)  # a call may end before all is said
    pairs = [(one, _instants(media, line, one)) for one, line in lines]
    pairs = [(one, instants) for one, instants in pairs if len(instants)]
    turns = measure_turns([instants for _, instants in pairs], bot)
    limits = [turn.speech_start_ns for turn in turns[1:]] + [2**63 - 1]
    origin_ns = media.sent[0].at_ns if media.sent else 0
    reported = pair(turns, record.turns, origin_ns)
    said = [
        Said(one, instants, limit, turn, reported[index])
        for index, ((one, instants), turn, limit) in enumerate(
            zip(pairs, turns, limits[: len(turns)], strict=True)
        )
    ]
    return Trace(said, bot, audio, record, list(performance.problems), bundle)


def pair(
    caller: Sequence[Turn], reported: Sequence[TurnRecord], origin_ns: int
) -> list[list[TurnRecord]]:
    """Find the gateway's turns that began within each utterance.

    Args:
        caller: the utterances on the caller's clock.
        reported: the gateway's turns on the call's audio time.
        origin_ns: where audio time began on the caller's clock, to half a second; the exact shift
            is that nearby under which most turns begin with an utterance.
    """
    spoken = [
        (turn, turn.started_s * 1e9)
        for turn in reported
        if turn.caller_text and turn.started_s is not None
    ]
    starts = [turn.speech_start_ns for turn in caller]
    shifts = [start - began for start in starts for _, began in spoken]
    near = [shift for shift in shifts if abs(shift - origin_ns) < _ORIGIN_NS] or [origin_ns]

    def hits(shift: float) -> int:
        return sum(any(abs(start - at - shift) < 1e8 for _, at in spoken) for start in starts)

    shift = max(near, key=hits)
    return [
        [
            turn
            for turn, began in spoken
            if one.speech_start_ns - _NEAR_NS <= began + shift < one.speech_end_ns + _NEAR_NS
        ]
        for one in caller
    ]


def _instants(media: RtpPeer, line: Line, said: Utterance) -> Instants:
    """When the words were sent, as far as they are heard over what was mixed to them."""
    ticks = media.sent[line.first_tick : line.last_tick + 1]
    clean = said.clean
    frames = np.pad(clean, (0, -len(clean) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
    noise = said.sent.astype(np.int32) - clean
    return loud_instants(
        [
            Departure(tick.at_ns, frame, tick.late_ms)
            for tick, frame in zip(ticks, frames, strict=False)
        ],
        corpus.heard_from(clean, noise.astype(np.int16)),
    )


async def attempt(
    gateway: Gateway,
    parts: Sequence[Part],
    impairments: Impairments | None = None,
    background: Samples | None = None,
) -> Trace | str:
    """Make one call; one that fails is a text and does not end the run."""
    try:
        return await call(gateway, parts, impairments=impairments, background=background)
    except (SipError, TimeoutError, OSError, ValueError, StopIteration) as error:
        return f"{type(error).__name__}: {error}"
