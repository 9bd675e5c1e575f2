"""Vendors' recognizers against their doubles: what each of them does, in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from gateway.audio.converter import convert_once
from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from gateway.providers.contracts import Expect, SttSession, Transcript, TurnMark
from gateway.providers.kit.recognizer import SocketRecognizer
from tests.support.faults import Fault
from tests.support.google_stt_double import PROJECT, GoogleSttDouble
from tests.support.ink_double import InkDouble
from tests.support.inworld_stt_double import InworldSttDouble
from tests.support.kyutai_stt_double import KyutaiSttDouble
from tests.support.recognizer_contract import RecognizerContract, RecognizerSubject, hear
from tests.support.recognizer_double import KEY, RecognizerDouble, spoken
from tests.support.recognizer_runs import SILENCE, WORDS, listened, marks, using
from tests.support.scribe_double import ScribeDouble
from tests.support.transcription_double import TranscriptionDouble


@dataclass(frozen=True)
class Vendor:
    name: str
    double: Callable[[], RecognizerDouble]
    rate_hz: int = 8000
    """Of what it takes from a narrow line that is not coded by G.711."""
    encodings: tuple[str, ...] = ("pcmu", "pcma")
    has_eager: bool = False
    answers_noise: bool = True
    """It answers a flush also where it has heard no words."""
    has_marks: bool = True
    """It ends turns itself."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further ones that it needs."""
    is_http: bool = True
    """Its connection begins with a request of HTTP that has a status."""
    has_interim: bool = True
    """It reports words within a turn."""

    @property
    def module(self) -> ModuleType:
        return import_module(f"gateway.providers.stt.{self.name}")

    def sound(self, *words: str) -> bytes:
        return spoken(words or WORDS, self.rate_hz)

    @property
    def silence(self) -> bytes:
        return SILENCE * (self.rate_hz // 8000)

    def run(self, double: RecognizerDouble, use: Any, **settings: Any) -> None:
        using(self.module, double, use, **settings)

    def subject(self) -> RecognizerSubject:
        return RecognizerSubject(
            "stt",
            self.name,
            {"api_key": KEY, **self.settings},
            server=lambda: self.double().as_server(),
            sound=self.sound(),
            words=WORDS,
        )


ELEVENLABS = Vendor("elevenlabs", ScribeDouble, encodings=("pcmu",))
CARTESIA = Vendor("cartesia", InkDouble, has_eager=True)
OPENAI = Vendor("openai", TranscriptionDouble, rate_hz=24_000, has_interim=False)
INWORLD = Vendor("inworld", InworldSttDouble, encodings=(), answers_noise=False)
KYUTAI = Vendor("kyutai", KyutaiSttDouble, rate_hz=24_000, encodings=(), has_marks=False)
GOOGLE = Vendor(
    "google", GoogleSttDouble, has_eager=True, settings={"project": PROJECT}, is_http=False
)
VENDORS = [ELEVENLABS, CARTESIA, OPENAI, INWORLD, KYUTAI, GOOGLE]
pytestmark = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)


class TestContract(RecognizerContract):
    @pytest.fixture
    def provider(self, vendor: Vendor) -> RecognizerSubject:
        return vendor.subject()


def test_its_turns_are_ours(vendor: Vendor):
    async def use(recognizer: SocketRecognizer) -> None:
        sounds = [vendor.sound() + vendor.silence, vendor.sound("two") + vendor.silence]
        if vendor.has_marks:
            found = await listened(recognizer, b"".join(sounds), 2)
        else:  # it is asked for the end of a turn, while the next one may not have begun
            found = [each for sound in sounds for each in await listened(recognizer, sound, 1)]
        kinds = [kind for kind, _ in marks(found)]
        one = ["start", "eager_end", "end"] if vendor.has_eager else ["start", "end"]
        assert kinds == one + one
        ends = [text for kind, text in marks(found) if kind == "end"]
        assert ends == [" ".join(WORDS), "two"]

    vendor.run(vendor.double(), use)


def test_words_of_a_turn_that_we_have_ended_are_in_no_later_one(vendor: Vendor):
    if not vendor.has_interim or not vendor.has_marks:
        pytest.skip("its words come with the end of a turn, or with what follows")

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.listening().open_session("c") as session, session.listen() as stream:
            stream.push(vendor.sound("three", "one"))
            found: list[Any] = []
            async for each in stream:
                found.append(each)
                if isinstance(each, Transcript) and each.text == "three one":
                    stream.turn_over()
                    stream.push(vendor.sound("six") + vendor.silence)
                if isinstance(each, TurnMark) and each.kind == "end":
                    break
            assert marks(found)[-1] == ("end", "six")

    vendor.run(vendor.double(), use)


def test_a_line_is_passed_as_it_is(vendor: Vendor):
    double = vendor.double()

    async def use(recognizer: SocketRecognizer) -> None:
        for encoding in vendor.encodings:
            line = AudioFormat(8000, encoding=encoding)  # type: ignore[arg-type]
            fitting = recognizer.for_line(line)
            assert fitting.input_format == line
            sound = convert_once(spoken(WORDS), NARROWBAND, line)
            assert (await hear(fitting, sound, 160)).text == " ".join(WORDS)
            assert double.peers[-1].format.encoding == encoding
            assert bytes(double.peers[-1].audio) == sound

    vendor.run(double, use)


REFUSALS = [
    (HTTPStatus.UNAUTHORIZED, '{"error": "Invalid credentials."}', ProviderRejected, "Invalid"),
    (HTTPStatus.PAYMENT_REQUIRED, "{}", QuotaExceeded, "check the balance"),
    (HTTPStatus.TOO_MANY_REQUESTS, '{"error": "Too many requests"}', RateLimited, "Too many"),
    (HTTPStatus.BAD_REQUEST, '{"error": "language xx is not supported"}', ProviderRejected, "xx"),
    (HTTPStatus.OK, "<html>Welcome</html>", ProviderProtocolError, "is base_url right?"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), REFUSALS)
def test_refusals_are_told_in_the_vendors_words(vendor: Vendor, status, body, kind, words):
    if not vendor.is_http:
        pytest.skip("it has statuses of its own")
    double = vendor.double()
    double.status, double.body, double.headers = status, body, {"Retry-After": "60"}

    async def use(recognizer: SocketRecognizer) -> None:
        with pytest.raises(kind, match=f"{vendor.name}: ") as found:
            await recognizer.warm_up()
        assert words in str(found.value)
        assert KEY not in str(found.value)

    vendor.run(double, use)
    assert double.attempts == 1  # Retry-After is longer than any caller waits


async def failing(
    session: SttSession, double: RecognizerDouble, sound: bytes, problem: str
) -> None:
    async with session.stream(Expect()) as stream:
        stream.push(sound)
        await double.peers[-1].error(problem)
        async for _ in stream:
            pass


@pytest.mark.parametrize(
    ("problem", "kind"),
    [("quota", QuotaExceeded), ("format", ProviderRejected), ("broken", ProviderUnavailable)],
)
def test_errors_in_mid_stream(vendor: Vendor, problem: str, kind: type[ProviderError]):
    double = vendor.double()

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            await hear(session, vendor.sound())
            with pytest.raises(kind) as found:
                await failing(session, double, vendor.sound(), problem)
            assert KEY not in str(found.value)
            assert not session.is_usable

    vendor.run(double, use)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault.GARBAGE, ProviderProtocolError), (Fault.CLOSE, ProviderUnavailable)],
)
def test_faults_in_mid_stream(vendor: Vendor, fault: Fault, kind: type[ProviderError]):
    double = vendor.double()

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            await hear(session, vendor.sound())
            double.fault = fault
            with pytest.raises(kind):
                await hear(session, vendor.sound())
        double.fault = Fault.NONE
        assert (await hear(recognizer, vendor.sound())).text == " ".join(WORDS)

    vendor.run(double, use)


@pytest.mark.parametrize("listens", [True, False])
def test_turns_with_faults_leave_no_socket(vendor: Vendor, listens: bool):
    double = vendor.double()

    async def use(recognizer: SocketRecognizer) -> None:
        for number in range(40):
            faults = (Fault.NONE, Fault.CLOSE, Fault.GARBAGE, Fault.REFUSED)
            double.fault = fault = faults[number % 4]
            try:
                if listens:
                    await listened(recognizer, vendor.sound() + vendor.silence, 1)
                else:
                    await hear(recognizer, vendor.sound())
            except ProviderError:
                assert fault is not Fault.NONE
        await double.all_gone()
        assert double.open_connections == 0

    vendor.run(double, use)


def test_a_turn_of_noise_takes_no_words_from_the_next(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
):
    """A vendor may owe nothing for it."""
    if not vendor.answers_noise:
        monkeypatch.setattr("gateway.providers.kit.recognizer.OLD_S", 0.0)

    async def use(recognizer: SocketRecognizer) -> None:
        async with recognizer.open_session("c") as session:
            for _ in range(3):
                async with session.stream(Expect()) as stream:
                    stream.push(vendor.silence)
                assert (await hear(session, vendor.sound())).text == " ".join(WORDS)

    vendor.run(vendor.double(), use)


def test_settings_of_openai_reach_the_vendor(vendor: Vendor):
    if vendor is not OPENAI:
        pytest.skip("it has its own")
    double = vendor.double()

    async def use(recognizer: SocketRecognizer) -> None:
        assert (await hear(recognizer, vendor.sound())).text == " ".join(WORDS)

    vendor.run(double, use, keyterms=["Acme"], noise_reduction="far_field", prompt="A cafe.")
    peer: Any = double.peers[-1]
    session = next(
        json.loads(frame)["session"] for frame in peer.frames if "session.update" in str(frame)
    )
    hearing = session["audio"]["input"]
    assert hearing["noise_reduction"] == {"type": "far_field"}
    assert hearing["transcription"]["keywords"] == ["Acme"]
    assert hearing["transcription"]["prompt"] == "A cafe."
