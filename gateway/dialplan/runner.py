"""run_call: one coroutine per call; returning ends the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import structlog

from gateway.config.dialplans import (
    Action,
    Answer,
    Branch,
    Collect,
    Dialplan,
    HangUp,
    Jump,
    Say,
    Talk,
    Transfer,
)
from gateway.conversation.conversation import Ending
from gateway.dialplan.router import Route, follow
from gateway.dialplan.steps import StepScope, collect, say, talk, transfer
from gateway.dialplan.variables import branch_target

log = structlog.get_logger(__name__)

MAX_JUMPS = 100


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a dialplan left a call."""

    ending: Ending
    status: int = 0
    """SIP status where the call is refused; 0 = a BYE."""


class Runner:
    """Walks through the steps of a call's route."""

    def __init__(self, plan: Dialplan, scope: StepScope) -> None:
        self._plan = plan
        self._scope = scope
        self._is_answered = False

    async def run(self, route: Route, *, is_answered: bool) -> CallResult:
        """Run a route and what it jumps to.

        Raises:
            SipError: the line failed under a step.
        """
        self._is_answered = is_answered
        here = route
        for _ in range(MAX_JUMPS):
            self._scope.call.note("route", context=here.context, rule=here.extension)
            result = await self._steps(here)
            if isinstance(result, CallResult):
                return result
            here = result
        return CallResult(Ending("failed", f"more than {MAX_JUMPS} jumps in the dialplan"))

    async def _steps(self, route: Route) -> CallResult | Route:
        for action in route.steps:
            outcome = await self._step(action, route)
            if outcome is not None:
                return outcome
        return CallResult(Ending("bot_hung_up", f"end of {route.extension or 'the default route'}"))

    async def _step(self, action: Action, route: Route) -> CallResult | Route | None:
        if isinstance(action, HangUp):
            status = 0 if self._is_answered else action.status
            text = action.reason or f"rule {route.context}/{route.extension}"
            return CallResult(Ending("bot_hung_up", text), status)
        if isinstance(action, Jump):
            return follow(self._plan, route.context, action)
        if isinstance(action, Branch):
            target = branch_target(action, self._scope.collected)
            return follow(self._plan, route.context, target) if target else None
        await self._answer()
        return await self._audio_step(action)

    async def _audio_step(
        self, action: Answer | Say | Talk | Collect | Transfer
    ) -> CallResult | None:
        match action:
            case Answer():
                return None
            case Say():
                await say(action, self._scope)
                return None
            case Collect():
                await collect(action, self._scope)
                return None
            case Talk():
                ending = await talk(action, self._scope)
                return CallResult(ending)
            case Transfer():
                transferred = await transfer(action, self._scope)
                return CallResult(transferred) if transferred else None
            case _:
                assert_never(action)

    async def _answer(self) -> None:
        if not self._is_answered:
            await self._scope.call.line.answer()
            self._is_answered = True
