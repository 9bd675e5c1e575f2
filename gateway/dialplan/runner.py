"""run_call: one coroutine per call; returning ends the call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import structlog

from gateway.call import events
from gateway.call.line import End
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
from gateway.dialplan.router import Route, follow
from gateway.dialplan.steps import (
    StepScope,
    collect,
    connect_while_ringing,
    prepare,
    say,
    say_requests,
    talk,
    transfer,
)
from gateway.dialplan.variables import branch_target

log = structlog.get_logger(__name__)

MAX_JUMPS = 100


class Runner:
    """Walks through the steps of a call's route."""

    def __init__(self, plan: Dialplan, scope: StepScope) -> None:
        self._plan = plan
        self._scope = scope
        self._is_answered = False

    def ring(self, route: Route) -> None:
        """Get ready while the other side's telephone rings."""
        if first := _first_talk(route.steps):
            connect_while_ringing(first, self._scope)

    async def run(self, route: Route, *, is_answered: bool) -> End:
        """Run a route and what it jumps to.

        Raises:
            SipError: the line failed under a step.
        """
        self._is_answered = is_answered
        try:
            return await self._run(route)
        finally:
            self._scope.close()

    async def _run(self, route: Route) -> End:
        here = route
        for _ in range(MAX_JUMPS):
            self._scope.call.note(events.Routed(context=here.context, rule=here.extension))
            result = await self._steps(here)
            if isinstance(result, End):
                return result
            here = result
        return End("failed", f"more than {MAX_JUMPS} jumps in the dialplan")

    async def _steps(self, route: Route) -> End | Route:
        for index, action in enumerate(route.steps):
            if not self._is_answered and (first := _first_talk(route.steps[index:])):
                await prepare(first, self._scope)
            outcome = await self._step(action, route)
            if outcome is not None:
                return outcome
        return End("bot_hung_up", f"end of {route.extension or 'the default route'}")

    async def _step(self, action: Action, route: Route) -> End | Route | None:
        if isinstance(action, HangUp):
            status = 0 if self._is_answered else action.status
            text = action.reason or f"rule {route.context}/{route.extension}"
            return End("bot_hung_up", text, status)
        if isinstance(action, Jump):
            return follow(self._plan, route.context, action)
        if isinstance(action, Branch):
            target = branch_target(action, self._scope.collected)
            return follow(self._plan, route.context, target) if target else None
        await self._answer()
        result = await self._audio_step(action)
        if result is None:
            agent = "" if isinstance(action, Answer) else action.agent
            await say_requests(self._scope, agent)
        return result

    async def _audio_step(self, action: Answer | Say | Talk | Collect | Transfer) -> End | None:
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
                return End(ending.reason, ending.text)
            case Transfer():
                transferred = await transfer(action, self._scope)
                return End(transferred.reason, transferred.text) if transferred else None
            case _:
                assert_never(action)

    async def _answer(self) -> None:
        if not self._is_answered:
            await self._scope.call.line.answer()
            self._is_answered = True


def _first_talk(steps: Sequence[Action]) -> Talk | None:
    """Return the step whose agent speaks as soon as the call is answered."""
    following = (step for step in steps if not isinstance(step, Answer))
    step = next(following, None)
    return step if isinstance(step, Talk) else None
