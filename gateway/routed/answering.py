"""Answering: one reply of language models behind a router, by whichever of them can give it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast

from gateway.conversation.tokens import BYTES_PER_TOKEN, tokens_asked, tokens_of_call
from gateway.errors import (
    ContextExceeded,
    ProviderError,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
)
from gateway.providers.contracts import (
    Accounting,
    AskedAgain,
    AssistantMessage,
    LanguageModel,
    Memo,
    ReplyEvent,
    ReplyRequest,
    Retracted,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
    UserMessage,
    Wasted,
)
from gateway.routed.attempt import Attempt, Attempts
from gateway.routed.route import Route
from gateway.routing.hedge import Hedge
from gateway.routing.joint import Continuation, WholeWords

_GO_ON = (
    "(Your answer was cut off there by a technical fault; the caller has heard it so far. Go on"
    " with its next word. Do not repeat anything, do not apologize, do not mention this.)"
)


@dataclass(frozen=True)
class Memos:
    """What each engine wants back with the next request, by its name."""

    of: dict[str, object]


class Answering:
    """One request.

    Until the first word any engine may give the answer.  If the one that has spoken fails, another
    one goes on behind the words that were passed on.
    """

    def __init__(self, route: Route[LanguageModel], request: ReplyRequest) -> None:
        """Prepare.

        Args:
            route: of the call.
            request: as the conversation makes it.
        """
        self._route = route
        self._request = request
        self._said = ""
        """Text that was passed on."""
        self._is_joint = False
        """The next words are the first that another engine adds to them."""
        self._memos = request.memo.of if isinstance(request.memo, Memos) else {}
        self._billed = ""
        """Whose prices count for the events that are passed on."""
        self._last: ProviderError | None = None

    async def events(self) -> AsyncGenerator[ReplyEvent, None]:
        """Yield the reply.  Raises ProviderError: no engine could give it."""
        order = self._route.candidates(_turn_words(self._request))
        while True:
            failed = ""
            async with aclosing(self._answered(order)) as events:
                async for event in events:
                    if isinstance(event, _Broken):
                        failed, self._last = event.name, event.error
                        continue
                    yield event
            if not failed:
                return
            order = tuple(
                name
                for name in order[order.index(failed) + 1 :]
                if not self._said or self._route.engine(name).counts_tokens
            )
            if not order:
                assert self._last is not None  # noqa: S101 - of what has failed
                raise self._last
            self._route.switched(failed, order[0], self._last or _silent(failed))
            yield AskedAgain(was_taken=True)
            self._billed = ""

    async def _answered(self, order: tuple[str, ...]) -> AsyncGenerator[ReplyEvent | _Broken, None]:
        """Yield the answer of the first engine that speaks; `_Broken` where it ends too soon."""
        hedge_s = self._route.router.config.hedge_after_ms / 1000
        hedge = Hedge(hedge_s, order)
        async with Attempts[ReplyEvent]() as attempts:
            async with aclosing(self._first_words(hedge, attempts)) as events:
                async for event in events:
                    yield event
            name = hedge.winner
            try:
                async with aclosing(self._rest(attempts[name], attempts)) as events:
                    async for event in events:
                        yield event
            except ProviderError as error:
                self._route.failed(name, error)
                if isinstance(error, ContextExceeded):
                    raise
                yield _Broken(name, error)
            except (GeneratorExit, asyncio.CancelledError):
                self._route.worked(name)  # the caller wants no more of it
                raise
            else:
                self._route.worked(name)

    # --- until the first word ---

    async def _first_words(
        self, hedge: Hedge, attempts: Attempts[ReplyEvent]
    ) -> AsyncGenerator[ReplyEvent, None]:
        self._begin(hedge.ask(_now()), attempts)
        for event in self._bill(hedge.asked[0]):
            yield event
        try:
            while True:
                is_news = await attempts.wait(hedge.due_at())
                if not is_news:
                    self._begin(hedge.ask(_now()), attempts)
                    yield Thinking()
                    continue
                for name in tuple(hedge.asked):
                    async for event in self._looked_at(name, hedge, attempts):
                        yield event
                    if hedge.is_won:
                        return
        except BaseException:
            for name in hedge.asked:
                self._route.abandoned(name)
            raise

    async def _looked_at(
        self, name: str, hedge: Hedge, attempts: Attempts[ReplyEvent]
    ) -> AsyncIterator[ReplyEvent]:
        """Take note of what has come of one attempt: it thinks, speaks, or has failed."""
        attempt = attempts[name]
        while attempt.items and isinstance(attempt.items[0], Thinking):
            yield attempt.items.popleft()
        asks_again = any(isinstance(e, AskedAgain) and e.has_failed for e in attempt.items)
        others = hedge.has_more or len(hedge.asked) > 1
        if any(map(_is_content, attempt.items)):
            async for event in self._won(name, hedge, attempts):
                yield event
        elif attempt.is_over or (asks_again and others):
            error = attempts.error_of(name) or _silent(name, is_over=attempt.is_over)
            async for event in self._lost(name, error, hedge, attempts):
                yield event
        else:  # its own second try is the only one that there is, or tries what the first did not
            while attempt.items:
                yield attempt.items.popleft()

    async def _won(
        self, name: str, hedge: Hedge, attempts: Attempts[ReplyEvent]
    ) -> AsyncIterator[ReplyEvent]:
        was_first = hedge.asked[0] == name
        for loser in hedge.spoke(name):
            dropped = await attempts.drop(loser)
            if was_first:
                self._route.abandoned(loser)
            else:
                silence_s = self._route.router.config.hedge_after_ms / 1000
                late = ProviderTimeout(loser, f"was silent for {silence_s:g} s")
                self._route.overtaken(loser, late)
            if loser == self._billed:  # what was counted for it is the winner's: the same request
                self._billed = ""
            for event in self._waste(dropped):
                yield event
        for event in self._bill(name):
            yield event

    async def _lost(
        self, name: str, error: ProviderError, hedge: Hedge, attempts: Attempts[ReplyEvent]
    ) -> AsyncIterator[ReplyEvent]:
        """Ask the next engine instead of one that has failed.  Raises where there is none."""
        await attempts.drop(name)
        self._route.failed(name, error)
        if isinstance(error, ContextExceeded):
            raise error
        following = hedge.failed(name, _now())
        if following:
            self._begin(following, attempts)
        elif not hedge.asked:
            raise error
        after = following or hedge.asked[0]
        self._route.switched(name, after, error)
        if name == self._billed:
            yield AskedAgain(was_taken=not isinstance(error, ProviderUnavailable))
            self._billed = ""
            for event in self._bill(after):
                yield event
        yield Thinking()

    # --- from the first word on ---

    async def _rest(
        self, attempt: Attempt[ReplyEvent], attempts: Attempts[ReplyEvent]
    ) -> AsyncGenerator[ReplyEvent, None]:
        text, last = _Text(self._said), list[ReplyEvent]()
        self._is_joint = bool(self._said)
        while True:
            while attempt.items:
                event = attempt.items.popleft()
                if isinstance(event, Retracted):
                    text, self._said = _Text(""), ""
                for passed_on in self._taken(event, attempt.name, text, last):
                    yield passed_on
            if attempt.is_over:
                break
            await attempts.wait(None)
        if (error := attempts.error_of(attempt.name)) is not None:
            raise error
        for event in (*self._passed_on(text.flush()), *last):
            yield event

    def _taken(
        self, event: ReplyEvent, name: str, text: _Text, last: list[ReplyEvent]
    ) -> Iterator[ReplyEvent]:
        """Yield what is passed on of an event at once; `last` is, once the answer is whole."""
        if isinstance(event, TextDelta):
            yield from self._passed_on(text.push(event.text))
        elif isinstance(event, ToolCall):
            last.append(event)  # an engine that fails has asked for nothing
        elif isinstance(event, Memo):
            last.append(Memo(Memos({**self._memos, name: event.state})))
        else:
            yield event

    def _passed_on(self, text: str) -> Iterator[TextDelta]:
        if not text:
            return
        if self._is_joint and not (self._said[-1:].isspace() or text[0].isspace()):
            text = f" {text}"
        self._is_joint = False
        self._said += text
        yield TextDelta(text)

    # --- asking and counting ---

    def _begin(self, name: str, attempts: Attempts[ReplyEvent]) -> None:
        self._route.asks(name)
        model = self._route.engine(name)
        events = cast("AsyncGenerator[ReplyEvent, None]", model.reply(self._request_to(name)))
        attempts.begin(name, events)

    def _request_to(self, name: str) -> ReplyRequest:
        """Return the request, with what the caller has heard of another engine's answer."""
        request, late = self._request, self._request.late_usage

        def settle(usage: Usage) -> None:
            if late is not None and self._billed == name:
                late(usage)

        messages = request.messages
        if self._said:
            messages = (*messages, AssistantMessage(self._said.strip()), UserMessage(_GO_ON))
        is_routed = isinstance(request.memo, Memos) or request.memo is None
        memo = self._memos.get(name) if is_routed else request.memo
        return replace(request, messages=messages, memo=memo, late_usage=settle)

    def _bill(self, name: str) -> tuple[ReplyEvent, ...]:
        if name == self._billed:
            return ()
        self._billed = name
        is_free = not self._route.engine(name).counts_tokens
        billed = self._route.billed(name, is_free=is_free)
        return () if billed is None else (billed,)

    def _waste(self, dropped: Attempt[ReplyEvent]) -> tuple[ReplyEvent, ...]:
        """Count the tokens of a request that was given up."""
        billed = self._route.billed(dropped.name)
        if billed is None or not self._route.engine(dropped.name).counts_tokens:
            return ()
        read, written = tokens_asked(self._request), 0
        for event in dropped.items:
            if isinstance(event, TextDelta):
                written += -(-len(event.text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)
            elif isinstance(event, ToolCall):
                written += tokens_of_call(event)
        self._route.wasted(dropped.name, read + written)
        return (Wasted(billed, read, written),)


class _Text:
    """The words of an answer that may be passed on: whole ones, and none that were before."""

    def __init__(self, said: str) -> None:
        self._words, self._joint = WholeWords(), Continuation(said)

    def push(self, text: str) -> str:
        return self._joint.push(self._words.push(text))

    def flush(self) -> str:
        return self._joint.push(self._words.flush()) + self._joint.flush()


@dataclass(frozen=True)
class _Broken:
    """The engine that has spoken could not finish."""

    name: str
    error: ProviderError


def _is_content(event: ReplyEvent) -> bool:
    """Return whether an event is part of an answer."""
    return not isinstance(event, Thinking | Usage | Accounting)


def _silent(name: str, *, is_over: bool = True) -> ProviderError:
    if is_over:
        return ProviderProtocolError(name, "gave an empty answer")
    return ProviderUnavailable(name, "could not answer at the first try")


def _turn_words(request: ReplyRequest) -> int | None:
    last = next((m for m in reversed(request.messages) if isinstance(m, UserMessage)), None)
    return None if last is None else len(last.text.split())


def _now() -> float:
    return asyncio.get_running_loop().time()
