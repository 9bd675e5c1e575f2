"""Write the record of a bot turn once its last sample was sent."""

from __future__ import annotations

import structlog

from gateway.call.live_call import LiveCall
from gateway.conversation.figures import TurnFigures
from gateway.conversation.stages import slowest_stage, summary_line
from gateway.turn.events import samples

log = structlog.get_logger(__name__)

_WIRE_SETTLES_MS = 100
"""A cut is heard for one more frame, ramped down; its tick must have come, too."""


def close_turn(call: LiveCall, figures: TurnFigures, heard: str) -> None:
    """Write the record of a turn that is over, a moment later.

    Args:
        call: which it is part of.
        figures: of the turn.
        heard: what the caller has heard of it.
    """
    figures.heard = heard
    settled = call.audio.now + samples(_WIRE_SETTLES_MS)
    call.audio.at(settled, lambda: _write(call, figures))


def _write(call: LiveCall, figures: TurnFigures) -> None:
    record = figures.record(call.audio.meter)
    record = record.model_copy(update={"slowest_stage": slowest_stage(record)})
    record = call.finish_turn(record)
    log.info("turn", slowest_stage=record.slowest_stage, line=summary_line(record))
