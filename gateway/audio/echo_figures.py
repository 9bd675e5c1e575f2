"""EchoTally: how late and how loud the echo of a call is, and what is taken of it.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.audio.echo_path import History
from gateway.audio.format import ANALYSIS
from gateway.audio.level import FLOOR_DBFS

_FORGET = 0.5 ** (1 / 250)
"""Per frame with echo: the figures speak for the last 5 s."""
WORTH_ENERGY = 100.0 * ANALYSIS.frame_samples
"""Of a frame (-70 dBFS)."""


@dataclass(frozen=True, slots=True)
class EchoFigures:
    """What is known about the echo of one call."""

    delay_ms: float
    return_loss_db: float
    """ERL: sent level minus echo level."""
    enhancement_db: float | None
    """ERLE: what the canceller took away, measured while the caller was silent."""


class EchoTally:
    """Energies of the call's echo, newer frames weighing more."""

    def __init__(self) -> None:
        self.delay_samples: int | None = None
        self._sent = self._echo = 0.0
        self._received = self._left = 0.0

    def add(
        self, received: History, cancelled: History, sent: History, delay: int, *, is_speech: bool
    ) -> None:
        """Accept the latest frame."""
        self.delay_samples = delay
        count = ANALYSIS.frame_samples
        came, left = received.latest(count), cancelled.latest(count)
        went = sent.latest(delay + count)[:count]
        echo = came - left
        if float(went @ went) < WORTH_ENERGY:
            return
        self._sent = _FORGET * self._sent + float(went @ went)
        self._echo = _FORGET * self._echo + float(echo @ echo)
        if is_speech or float(came @ came) < WORTH_ENERGY:
            return
        self._received = _FORGET * self._received + float(came @ came)
        self._left = _FORGET * self._left + float(left @ left)

    def figures(self) -> EchoFigures:
        """Return them in decibels."""
        return EchoFigures(
            delay_ms=(self.delay_samples or 0) * 1000 / ANALYSIS.sample_rate_hz,
            return_loss_db=_ratio_db(self._sent, self._echo),
            enhancement_db=_ratio_db(self._received, self._left) if self._received else None,
        )


def _ratio_db(above: float, below: float) -> float:
    if above <= 0 or below <= 0:
        return -FLOOR_DBFS
    return round(float(10 * np.log10(above / below)), 1)
