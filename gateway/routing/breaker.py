"""Breaker: leaves an engine alone that fails, and tries it again.  Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from typing import Literal

from gateway.config.models import BreakerConfig

State = Literal["closed", "open", "half_open"]


class Breaker:
    """The health of one engine, by what was really asked of it.  Times are seconds of any clock.

    It opens at `failures` failures within `within_s` that are at least half of the requests in
    that time.  After `rest_s` one request, the probe, tries the engine; what comes of it decides.
    """

    def __init__(self, config: BreakerConfig) -> None:
        """Start closed."""
        self._config = config
        self._outcomes: deque[tuple[float, bool]] = deque()
        """(when, whether it failed) within `within_s`."""
        self._opened_until: float | None = None
        self._probe_until: float | None = None
        """When a probe whose outcome never came is forgotten."""

    def state(self, now: float) -> State:
        """Return how it stands."""
        if self._opened_until is None:
            return "closed"
        return "open" if now < self._opened_until else "half_open"

    def allows(self, now: float) -> bool:
        """Return whether the engine may be asked."""
        state = self.state(now)
        return state == "closed" or (state == "half_open" and not self._has_probe(now))

    def asks(self, now: float) -> bool:
        """Note that it is asked; return whether this request is the probe."""
        if self.state(now) != "half_open" or self._has_probe(now):
            return False
        self._probe_until = now + self._config.rest_s
        return True

    def worked(self, now: float) -> bool:
        """Note a request that was served; return whether the engine is back by that."""
        was_open = self._opened_until is not None
        if was_open:
            self._outcomes.clear()
            self._opened_until = self._probe_until = None
        self._add(now, has_failed=False)
        return was_open

    def failed(self, now: float, rest_s: float = 0.0, *, is_final: bool = False) -> bool:
        """Note a request that was not served; return whether the breaker opens by that.

        Args:
            now: the time.
            rest_s: how long the engine asks to be left alone (Retry-After); 0 = it did not say.
            is_final: another try is useless, such as with a wrong key: it opens at once.
        """
        self._add(now, has_failed=True)
        rest_s = max(rest_s, self._config.rest_s)
        if self._opened_until is not None:
            was_probed = self.state(now) == "half_open"
            self._opened_until = max(self._opened_until, now + rest_s)
            self._probe_until = None
            return was_probed
        failures = sum(has_failed for _, has_failed in self._outcomes)
        enough = failures >= self._config.failures and 2 * failures >= len(self._outcomes)
        if not (enough or is_final or rest_s > self._config.rest_s):
            return False
        self._opened_until = now + rest_s
        return True

    def abandoned(self) -> None:
        """Note that nothing came of a request by no fault of the engine: another may probe."""
        self._probe_until = None

    def _has_probe(self, now: float) -> bool:
        return self._probe_until is not None and now < self._probe_until

    def _add(self, now: float, *, has_failed: bool) -> None:
        self._outcomes.append((now, has_failed))
        while self._outcomes and self._outcomes[0][0] <= now - self._config.within_s:
            self._outcomes.popleft()
