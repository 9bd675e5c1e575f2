"""Meters: what recognizers and voices are used for in a call, and what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from gateway.audio.format import AudioFormat
from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig, RecognizerPrices, VoicePrices
from gateway.conversation.spending import Spending

_SETTLE_S = 10.0
"""Limits, metrics and the record learn of sound after this time at the latest."""


class RecognizerMeter:
    """Counts the sound that a recognizer is sent.  Loop thread only."""

    def __init__(
        self, provider: str, prices: RecognizerPrices, call: LiveCall, spending: Spending
    ) -> None:
        """Count on.

        Args:
            provider: of the recognizer.
            prices: of it.
            call: whose record and metrics are told.
            spending: what counts the cost of the call and the day.
        """
        self._provider = provider
        self._prices = prices
        self._call = call
        self._spending = spending
        self._open_s = 0.0
        """Not told yet."""

    @classmethod
    def of(cls, call: LiveCall, config: AgentConfig) -> Self:
        """Count for an agent's recognizer."""
        table = config.stt
        return cls(table.label, table.prices, call, Spending.of(call, config.llm_limits))

    def heard(self, seconds: float) -> None:
        """Count some sound; called 50 times a second."""
        self._open_s += seconds
        if self._open_s >= _SETTLE_S:
            self.settle()

    def settle(self) -> None:
        """Tell limits, metrics and the record what they do not know yet."""
        seconds, self._open_s = self._open_s, 0.0
        if not seconds:
            return
        price = self._prices.cost_per_minute
        cost = seconds / 60 * price
        self._call.used("stt", self._provider, cost if price else None, audio_s=seconds)
        self._call.metrics.stt_audio_seconds.labels(self._provider).inc(seconds)
        if price:
            self._spending.paid(0, cost)
            self._call.metrics.stt_cost.labels(self._provider).inc(cost)


class VoiceMeter:
    """Counts the texts that a voice is given, and the sound that it makes.  Loop thread only."""

    def __init__(
        self, provider: str, prices: VoicePrices, call: LiveCall, spending: Spending
    ) -> None:
        """Count on.

        Args:
            provider: of the voice.
            prices: of it.
            call: whose record and metrics are told.
            spending: what counts the cost of the call and the day.
        """
        self._provider = provider
        self._prices = prices
        self._call = call
        self._spending = spending

    @classmethod
    def of(cls, call: LiveCall, config: AgentConfig) -> Self:
        """Count for an agent's voice."""
        table = config.tts
        return cls(table.label, table.prices, call, Spending.of(call, config.llm_limits))

    @contextmanager
    def saying(
        self, text: str, rest: asyncio.Future[str] | None, form: AudioFormat
    ) -> Iterator[Callable[[bytes], None]]:
        """Count a sentence, also when it is cut off; call what is returned with its sound.

        Args:
            text: of the sentence, or its beginning.
            rest: what follows; it counts once it is known, unless the sentence is over before.
            form: of the sound.
        """
        sounded = 0

        def count(pcm: bytes) -> None:
            nonlocal sounded
            sounded += len(pcm)

        try:
            yield count
        finally:
            more = ""
            if rest is not None and rest.done() and not rest.cancelled():
                more = rest.result()
            seconds = sounded / form.sample_bytes / form.sample_rate_hz
            self._count(len(text) + len(more), seconds)

    def _count(self, characters: int, seconds: float) -> None:
        prices, provider = self._prices, self._provider
        cost = characters / 1e6 * prices.cost_per_million_characters
        cost += seconds / 60 * prices.cost_per_minute
        is_priced = any(prices.model_dump().values())
        known = cost if is_priced else None
        self._call.used("tts", provider, known, requests=1, characters=characters, audio_s=seconds)
        metrics = self._call.metrics
        metrics.tts_characters.labels(provider).inc(characters)
        metrics.tts_audio_seconds.labels(provider).inc(seconds)
        if is_priced:
            self._spending.paid(0, cost)
            metrics.tts_cost.labels(provider).inc(cost)
