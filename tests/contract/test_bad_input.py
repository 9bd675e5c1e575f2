"""What vendors refuse, for every provider behind a socket: vendor, setting and cure are named."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest

from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers import registry
from gateway.providers.contracts import Expect, SttSession
from gateway.providers.kit import rules
from gateway.providers.speech_to_speech import Opening
from tests.support.doubles import DOUBLES, Doubled
from tests.support.recognizer_double import KEY, RecognizerDouble, spoken
from tests.support.vendor_double import VendorDouble

OTHERWISE = {"google", "openai_http"}
"""By gRPC or HTTP: their own tests have these cases."""
SOCKETS = [
    each
    for each in DOUBLES
    if each.kind != "llm" and each.name not in OTHERWISE and "SpeechServer" not in each.place
]


@dataclass(frozen=True)
class Refusal:
    """A connection that is refused."""

    status: HTTPStatus
    body: str
    error: type[ProviderError]
    cure: str


REFUSALS = {
    "wrong key": Refusal(HTTPStatus.UNAUTHORIZED, "bad key", ProviderRejected, "check api_key"),
    "expired key": Refusal(HTTPStatus.FORBIDDEN, "expired", ProviderRejected, "check api_key"),
    "no money": Refusal(HTTPStatus.PAYMENT_REQUIRED, "", QuotaExceeded, "check the balance"),
    "too many": Refusal(HTTPStatus.TOO_MANY_REQUESTS, "slow down", RateLimited, "of the account"),
    "a page": Refusal(HTTPStatus.OK, "<html>Hi</html>", ProviderProtocolError, "base_url right"),
    "moved": Refusal(HTTPStatus.FOUND, "", ProviderProtocolError, "base_url right"),
    "language": Refusal(
        HTTPStatus.BAD_REQUEST, "language xx is not supported", ProviderRejected, "check language"
    ),
    "sample rate": Refusal(
        HTTPStatus.BAD_REQUEST, "sample rate 9000 is invalid", ProviderRejected, "sample rate"
    ),
    "model": Refusal(HTTPStatus.NOT_FOUND, "no such model", ProviderRejected, "and model"),
}


def refusing(double: Any, refusal: Refusal) -> None:
    """Let it refuse connections."""
    headers = {"Retry-After": "60"}
    if isinstance(double, RecognizerDouble | VendorDouble):
        double.status, double.body, double.headers = refusal.status, refusal.body, headers
        return

    async def judge(connection: Any, request: Any) -> Any:
        double.attempts += 1
        response = connection.respond(refusal.status, refusal.body)
        response.headers["Retry-After"] = "60"
        return response

    double._judge = judge


async def meets(doubled: Doubled, double: Any) -> ProviderError:
    """Use the provider once; return the error."""
    provider = registry.create(doubled.kind, doubled.table(double))  # type: ignore[call-overload]
    try:
        async with asyncio.timeout(10):
            with pytest.raises(ProviderError) as caught:
                await _use(doubled.kind, provider)
    finally:
        await provider.close()
    return caught.value


async def _use(kind: str, provider: Any) -> None:
    if kind == "tts":
        async with aclosing(provider.speak("One moment, please.")) as pieces:
            async for _ in pieces:
                pass
    elif kind == "stt":
        async with provider.stream(Expect()) as stream:
            stream.push(spoken(("one",)))
            stream.request_transcript()
            async for transcript in stream:
                if transcript.requested:
                    return
    else:
        async with provider.connect(Opening("c", "Be nice.")) as session:
            async for _ in session:
                pass


@pytest.fixture(autouse=True)
def _tries_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "FIRST_WAIT_S", 0.01)


@pytest.mark.parametrize("doubled", SOCKETS, ids=str)
def test_a_refused_connection_names_vendor_setting_and_cure(doubled: Doubled):
    """All of them with one server: each costs a connection."""

    async def main() -> None:
        for name, refusal in REFUSALS.items():
            double = doubled.double()
            refusing(double, refusal)
            async with doubled.running(double):
                error = await meets(doubled, double)
            assert type(error) is refusal.error, f"{name}: {error!r}"
            assert str(error).startswith(f"{doubled.name}: "), name
            assert refusal.cure in str(error), f"{name}: {error}"
            assert KEY not in str(error)
            assert double.attempts == 1, name  # a minute is longer than any caller waits

    asyncio.run(main())


@pytest.mark.parametrize("doubled", [d for d in SOCKETS if d.kind == "tts"], ids=str)
def test_a_quota_that_ends_in_mid_stream_names_the_account(doubled: Doubled):
    async def main() -> None:
        double = doubled.double()
        double.trouble = "quota"
        async with doubled.running(double):
            error = await meets(doubled, double)
        assert type(error) is QuotaExceeded
        assert "no credits left" in str(error)
        assert "check the balance of the account" in str(error)

    asyncio.run(main())


async def _hear_without_money(session: SttSession, double: RecognizerDouble) -> None:
    async with session.stream(Expect()) as stream:
        stream.push(spoken(("one",)))
        await double.peers[-1].error("quota")
        async for _ in stream:
            pass


@pytest.mark.parametrize("doubled", [d for d in SOCKETS if d.kind == "stt"], ids=str)
def test_a_recognizer_bears_no_audio_and_a_quota_that_ends_in_mid_stream(doubled: Doubled):
    async def main() -> None:
        double = doubled.double()
        async with doubled.running(double):
            provider = registry.create("stt", doubled.table(double))
            async with provider.open_session("c") as session:  # type: ignore[attr-defined]
                async with session.stream(Expect()) as stream:
                    stream.push(b"")
                    stream.request_transcript()
                    async with asyncio.timeout(5):
                        async for transcript in stream:
                            if transcript.requested:
                                break
                    assert transcript.text == ""
                with pytest.raises(QuotaExceeded, match="check the balance of the account"):
                    await _hear_without_money(session, double)
            await provider.close()
            await double.all_gone()

    asyncio.run(main())
