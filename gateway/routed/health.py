"""Health: the breakers of one router's engines in this process, with the operator's log lines."""

from __future__ import annotations

import asyncio

import structlog

from gateway.config.models import RouterConfig
from gateway.errors import ProviderError, QuotaExceeded
from gateway.providers.kit.rules import retry_after_s
from gateway.routing.breaker import Breaker

log = structlog.get_logger(__name__)


class Health:
    """Shared by all calls.  Loop thread only."""

    def __init__(self, router: str, config: RouterConfig) -> None:
        """Start with engines that are well.

        Args:
            router: its name, for the log.
            config: of it.
        """
        self._router = router
        self._breakers = {name: Breaker(config.breaker) for name in config.names}

    def allows(self, engine: str) -> bool:
        """Return whether an engine may be asked now."""
        return self._breakers[engine].allows(_now())

    def asks(self, engine: str) -> None:
        """Note that it is asked."""
        if self._breakers[engine].asks(_now()):
            log.info("engine_probed", router=self._router, engine=engine)

    def worked(self, engine: str) -> bool:
        """Note that it has served a request; return whether it is back by that."""
        is_back = self._breakers[engine].worked(_now())
        if is_back:
            log.info("engine_is_back", router=self._router, engine=engine)
        return is_back

    def failed(self, engine: str, error: ProviderError) -> bool:
        """Note that it has not; return whether it is left alone from now on."""
        rest_s = rest_of(error)
        opens = self._breakers[engine].failed(
            _now(), rest_s, is_final=isinstance(error, QuotaExceeded)
        )
        if opens:
            log.warning(
                "engine_rests", router=self._router, engine=engine, problem=str(error),
                cause=error.kind, retry_after_s=rest_s or None,
            )  # fmt: skip
        return opens

    def abandoned(self, engine: str) -> None:
        """Note that a request was given up by no fault of its."""
        self._breakers[engine].abandoned()


def rest_of(error: BaseException | None) -> float:
    """Return how long a vendor wants to be left alone, in seconds; 0 where it does not say.

    SDKs of vendors keep the response with its headers in their errors.
    """
    seen = 0
    while error is not None and seen < 5:
        own = getattr(error, "retry_after_s", 0.0)
        if own:
            return float(own)
        headers = getattr(getattr(error, "response", None), "headers", None)
        if headers is not None and (found := retry_after_s(headers.get("Retry-After"))):
            return found
        error, seen = error.__cause__, seen + 1
    return 0.0


def _now() -> float:
    return asyncio.get_running_loop().time()
