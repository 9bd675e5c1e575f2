"""RoutedModel: language models behind a router, as one language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from gateway.call.live_call import LiveCall
from gateway.config.models import AgentConfig
from gateway.providers.contracts import LanguageModel, ReplyEvent, ReplyRequest
from gateway.routed.answering import Answering
from gateway.routed.route import Route, Router


class RoutedModel:
    """Satisfies `contracts.LanguageModel`."""

    def __init__(
        self, router: Router[LanguageModel], route: Route[LanguageModel] | None = None
    ) -> None:
        """Make it, for all calls or with the route of one."""
        models = list(router.engines.values())
        self._router = router
        self._route = route
        self.known_texts: Sequence[str] = [text for each in models for text in each.known_texts]
        self.counts_tokens = any(each.counts_tokens for each in models)
        self.waits_for_tools = any(getattr(each, "waits_for_tools", False) for each in models)
        self.tells_what_it_expects = all(
            getattr(each, "tells_what_it_expects", False) for each in models
        )

    def of_call(self, call: LiveCall, config: AgentConfig) -> RoutedModel:
        """Return the language model of one call."""
        router = self._router.of_call(call, config)
        return RoutedModel(router, Route(router, call, config))

    async def warm_up(self) -> None:
        """Do nothing: the engines are warmed by their owner."""

    async def reply(self, request: ReplyRequest) -> AsyncIterator[ReplyEvent]:
        """Stream one reply (see `contracts.LanguageModel`)."""
        answering = Answering(self._route or Route(self._router), request)
        async with aclosing(answering.events()) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Do nothing: the engines are closed by their owner."""
