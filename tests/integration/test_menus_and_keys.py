"""Menus, keys and transfers as a caller meets them: one gateway, telephones of plain sockets."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError

import pytest

from gateway.audio.g711 import decode_ulaw, encode_ulaw
from gateway.audio.level import peak
from gateway.audio.tones import ToneDetector, key_tone
from gateway.probe import voices
from tests.support.gateway_process import GatewayUnderTest, running_gateway
from tests.support.menus import BILLING, FOR_AN_ACCOUNT
from tests.support.outside import calling
from tests.support.plain_phone import PlainPhone, Said, plain_phone

SCRIPT = """
[main]
greeting = "Press one for billing."
again = "Anything else?"
unknown = ["What was that?"]

[intents.sales]
key = "2"
say = "Sales."

[intents.operator]
key = "0"
flow = "operator"

[intents.hours]
key = "3"
say = "We are open every day from nine in the morning until seven in the evening, and on Sunday."

[slots.note]
type = "text"
ask = "Please leave a note."

[[flows.operator.steps]]
say = "I will connect you with somebody who can help you at once."
call = "transfer_call"
args = { target = "operator" }
failed = "Nobody answers."
on_error = "note"

[[flows.note.steps]]
ask = "note"
"""
PLAN = """
[[contexts.default.extensions]]
name = "script"
steps = [{ talk = "menu" }]

[[contexts.default.extensions]]
name = "desk"
called = "500"
steps = [{ talk = "desk" }]

[[contexts.default.extensions]]
name = "collect"
called = "200"
steps = [
  { collect = { digits = 9, timeout_s = 20, digit_timeout_s = 20, tries = 1, prompt = "Keys." } },
  { say = "Thank you." },
]

[[contexts.default.extensions]]
name = "prompts"
called = "600"
steps = [{ say = "You have called the office of the gardeners." }, { say = "Goodbye." }]

[[contexts.default.extensions]]
name = "part"
jump_only = true
steps = [{ hang_up = { status = 486 } }]

[[contexts.default.extensions]]
name = "to-part"
called = "300"
steps = [{ goto = "part" }]

[[contexts.default.extensions]]
name = "away"
called = "400"
steps = [{ transfer = { target = "sip:op@127.0.0.1:9", timeout_s = 4 } }, { say = "Sorry." }]
"""
CONFIG = """
[agents.menu]
llm = { provider = "script", file = "menu.toml" }
builtin_tools = ["hang_up", "transfer_call"]
transfer_targets = { operator = "sip:operator@127.0.0.1:9" }
silence = { reprompt_after_s = 60 }
[agents.desk]
silence = { reprompt_after_s = 60 }
[dialplan]
directory = "plan"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayUnderTest]:
    folder = tmp_path_factory.mktemp("menus")
    (folder / "menu.toml").write_text(SCRIPT + BILLING + FOR_AN_ACCOUNT)
    (folder / "plan").mkdir()
    (folder / "plan" / "plan.toml").write_text(PLAN)
    with running_gateway(folder, CONFIG) as running:
        yield running


class Caller:
    """A telephone whose audio goes on by itself; keys and requests come in between."""

    def __init__(self, phone: PlainPhone, gateway: GatewayUnderTest) -> None:
        self.phone = phone
        self.gateway = gateway
        self.heard: list[bytes] = []
        self._sound: list[bytes] = []
        self._sequence = self._clock = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join(10)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_over.is_set():
            payload = self._sound.pop(0) if self._sound else b"\xff" * 160
            self._send(0, payload)
            self._clock += 160
            due += 0.02
            while (left := due - time.monotonic()) > 0:
                self.phone.rtp.settimeout(left)
                try:
                    data = self.phone.rtp.recvfrom(2048)[0]
                except TimeoutError:
                    continue
                if data[1] & 127 == 0:
                    self.heard.append(data[12:])

    def _send(self, kind: int, payload: bytes, clock: int | None = None) -> None:
        at = self._clock if clock is None else clock
        head = struct.pack("!BBHII", 0x80, kind, self._sequence & 0xFFFF, at, 77)
        self._sequence += 1
        self.phone.rtp.sendto(head + payload, self.phone.media)

    def event(self, code: int, durations: list[int], ends: int) -> None:
        """Send packets of one telephone-event; the last ones end it."""
        clock = self._clock
        for number, duration in enumerate(durations):
            end = 0x80 if number >= len(durations) - ends else 0
            self._send(101, struct.pack("!BBH", code, end | 10, duration), clock)
            time.sleep(0.02)

    def press(self, keys: str, pause_s: float = 0.25) -> None:
        for key in keys:
            self.event("0123456789*#".index(key), [160, 320, 480, 480, 480], 3)
            time.sleep(pause_s)

    def sound(self, keys: str) -> None:
        self._sound += [encode_ulaw(f) for key in keys for f in key_tone(key, 120, 120)]

    def audible_s(self, since: int) -> float:
        """Seconds of sound that were heard since a packet."""
        peaks = [peak(decode_ulaw(frame)) for frame in self.heard[since:]]
        return sum(level > 300 for level in peaks) * 0.02

    # --- the other side's REFER ---

    def wait_for(self, method: str, timeout_s: float = 15.0) -> Said:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            found = [r for r in self.phone.requests if r.method == method]
            if found:
                return found[-1]
            self.phone.receive(0.1)
        raise AssertionError(f"no {method} came\n{self.gateway.log_tail()}")

    def notify(self, state: str, fragment: str) -> None:
        self.phone.ask(
            "NOTIFY", fragment, "message/sipfrag;version=2.0",
            ["Event: refer", f"Subscription-State: {state}"],
        )  # fmt: skip

    # --- what came of it ---

    def record(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if not self.phone.was_hung_up():
            self.phone.bye()
        found = self.gateway.call_of(self.phone.call_id)
        return found, self.gateway.events(found)

    def said(self) -> list[str]:
        return [e["text"] for e in self.record()[1] if e["kind"] == "bot_says"]

    def digits(self) -> str:
        return "".join(e["digit"] for e in self.record()[1] if e["kind"] == "digit")


@contextmanager
def caller(
    gateway: GatewayUnderTest, number: str = "100", body: Callable[[PlainPhone], str] | None = None
) -> Iterator[Caller]:
    with plain_phone(gateway.sip_port) as phone:
        phone.remote_to = f"<sip:{number}@127.0.0.1>"
        phone.target = f"sip:{number}@127.0.0.1:{gateway.sip_port}"
        said = phone.call(body(phone) if body else None)
        assert said.status == 200, said.text
        phone.ack()
        made = Caller(phone, gateway)
        try:
            yield made
        finally:
            made.end()


def without_events(phone: PlainPhone) -> str:
    lines = [line for line in phone.sdp().split("\r\n") if "101" not in line]
    port = phone.rtp.getsockname()[1]
    return "\r\n".join([*lines[:5], f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", ""])


# --- menus ---


def test_a_menu_within_a_menu_and_a_number_that_was_ended_too_early(
    gateway: GatewayUnderTest,
) -> None:
    with caller(gateway) as call:
        time.sleep(1.5)
        call.press("12")
        time.sleep(1.5)
        call.press("1002#")
        time.sleep(2.5)
        call.press("123456#")
        time.sleep(4)
        said = " ".join(call.said())
    assert "Invoice or refund?" in said
    assert "Sales." not in said
    assert "Six digits, please." in said
    assert "A refund for one two three, four five six." in said


def test_a_key_over_the_announcement_does_not_cancel_the_transfer(
    gateway: GatewayUnderTest,
) -> None:
    with caller(gateway) as call:
        time.sleep(1.5)
        call.press("0")
        time.sleep(1.2)
        call.press("5")
        refer = call.wait_for("REFER")
        assert "operator" in refer.header("Refer-To")
        call.notify("active;expires=60", "SIP/2.0 100 Trying\r\n")
        before = len(call.heard)
        time.sleep(3)
        assert call.audible_s(before) > 0.5  # it rings meanwhile
        call.notify("terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n")
        time.sleep(3)
        record, events = call.record()
    said = [e["text"] for e in events if e["kind"] == "bot_says"]
    assert said[-2:] == ["Nobody answers.", "Please leave a note."]
    assert not any(turn["interrupted"] for turn in record["turns"][1:-1])


def test_a_key_in_mid_sentence_counts_instead_of_the_sentence(gateway: GatewayUnderTest) -> None:
    async def scenario() -> str:
        async with calling(f"sip:100@127.0.0.1:{gateway.sip_port}") as phone:
            await phone.bot_is_done()
            phone.media.play(await voices.render("I would like to talk about my last invoice."))
            await asyncio.sleep(0.8)
            phone.media.press("1")
            await phone.bot_is_done(since_ns=time.monotonic_ns())
            phone.media.press("2")
            await phone.bot_is_done(since_ns=time.monotonic_ns())
        return phone.sip_call_id

    record = gateway.call_of(asyncio.run(scenario()))
    turns = [(turn["caller_text"], turn["bot_text_heard"]) for turn in record["turns"]]
    assert turns[1:] == [("1", "Invoice or refund?"), ("2", "Your account?")]


def test_the_rule_of_a_jump_cannot_be_dialled(gateway: GatewayUnderTest) -> None:
    with plain_phone(gateway.sip_port) as phone:
        phone.target = f"sip:300@127.0.0.1:{gateway.sip_port}"
        assert phone.call().status == 486
    with caller(gateway, "part") as call:
        assert call.record()[0]["route"] == "default/script"


# --- what was not heard was not asked ---


@pytest.mark.parametrize("word", ["No.", "Stop."])
def test_who_breaks_off_a_reply_is_not_hung_up(gateway: GatewayUnderTest, word: str) -> None:
    async def scenario() -> None:
        async with calling(f"sip:500@127.0.0.1:{gateway.sip_port}") as phone:
            await phone.bot_is_done()
            since_ns = await phone.say("What are your opening hours?")
            await phone.bot_speaks(since_ns=since_ns)
            await phone.until(lambda: phone.listener.has_spoken_since(since_ns), 5, "hours")
            await asyncio.sleep(1.5)  # it reads the opening hours
            since_ns = await phone.say(word)
            await phone.bot_is_done(since_ns=since_ns)
            assert not phone.call.ended.is_set()
            await phone.call.hang_up()
        record = gateway.call_of(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        assert not [t for t in record["turns"] if "Goodbye" in (t["bot_text_heard"] or "")]

    asyncio.run(scenario())


# --- transfers ---


@pytest.mark.parametrize(
    ("news", "reason", "outcome"),
    [
        ([("active;expires=60", "SIP/2.0 100 Trying\r\n"), "bye"], "transferred", "assumed"),
        ([("active;expires=60", "SIP/2.0 200 OK\r\n")], "transferred", "confirmed"),
        ([("active;expires=60", "SIP/2.0 486 Busy\r\n")], "bot_hung_up", "failed"),
        ([("terminated;reason=noresource", "")], "bot_hung_up", "unknown"),
        ([], "bot_hung_up", "unknown"),
    ],
    ids=[
        "a BYE instead of news",
        "200 in an active subscription",
        "busy",
        "no outcome",
        "nothing at all",
    ],
)
def test_outcomes_of_a_transfer(
    gateway: GatewayUnderTest, news: list[Any], reason: str, outcome: str
) -> None:
    with caller(gateway, "400") as call:
        call.wait_for("REFER")
        for each in news:
            if each == "bye":
                call.phone.bye()
            else:
                call.notify(*each)
        end = time.monotonic() + 12
        while reason == "bot_hung_up" and not call.phone.was_hung_up():
            assert time.monotonic() < end
        record, events = call.record()
    assert record["end_reason"] == reason
    assert ("accepted the transfer" in record["end_text"]) is ("bye" in news)  # not confirmed
    assert record["transfer"] == outcome
    assert (record["hung_up_by"] == "other_side") is (reason == "transferred")  # its BYE
    assert ("transfer_failed" in {e["kind"] for e in events}) is (reason != "transferred")


def test_the_api_transfers_and_the_conversation_knows_it(gateway: GatewayUnderTest) -> None:
    with caller(gateway) as call:
        call_id = gateway_call_id(gateway, call)
        asked: list[int] = []
        thread = threading.Thread(
            target=lambda: asked.append(transfer(gateway, call_id)), daemon=True
        )
        thread.start()
        call.wait_for("REFER")
        call.press("3")  # nobody takes it now
        call.notify("terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n")
        thread.join(10)
        assert asked == [502]
        time.sleep(2)
        _, events = call.record()
    assert [e["by"] for e in events if e["kind"] == "transfer_failed"] == ["api"]
    said = [e["text"] for e in events if e["kind"] == "bot_says"]
    assert not [text for text in said if text.startswith("We are open")]


def test_the_end_of_a_call_does_not_wait_for_a_transfer_that_the_api_has_begun(
    gateway: GatewayUnderTest,
) -> None:
    with caller(gateway, "600") as call:
        call_id = gateway_call_id(gateway, call)
        asked: list[int] = []
        thread = threading.Thread(
            target=lambda: asked.append(transfer(gateway, call_id)), daemon=True
        )
        thread.start()
        call.wait_for("REFER")  # and nothing is heard of it
        call.wait_for("BYE", timeout_s=12.0)
        thread.join(3.0)
        record, _ = call.record()
    assert asked == [404]
    assert record["end_reason"] == "bot_hung_up"


def transfer(gateway: GatewayUnderTest, call_id: str) -> int:
    try:
        gateway.post(f"/v1/calls/{call_id}/transfer", {"target": "sip:x@127.0.0.1:9"})
    except HTTPError as error:
        return error.code
    return 204


def gateway_call_id(gateway: GatewayUnderTest, call: Caller) -> str:
    calls = json.loads(gateway.get("/v1/calls"))["calls"]
    active = [c["call_id"] for c in calls if c["state"] == "active"]
    assert len(active) == 1, call.gateway.log_tail()
    return str(active[0])


def test_what_the_operator_says_follows_what_the_bot_says(gateway: GatewayUnderTest) -> None:
    with caller(gateway) as call:
        call_id = gateway_call_id(gateway, call)
        time.sleep(1.5)
        call.press("3")
        time.sleep(1.0)
        gateway.post(f"/v1/calls/{call_id}/say", {"text": "We close soon."})
        time.sleep(9)
        record, events = call.record()
    said = [e["text"] for e in events if e["kind"] == "bot_says"]
    assert said.index("We close soon.") > next(
        n for n, text in enumerate(said) if text.startswith("We are open")
    )
    assert not any(turn["interrupted"] for turn in record["turns"][1:])


def test_what_the_operator_says_during_a_prompt_of_the_dialplan_follows_it(
    gateway: GatewayUnderTest,
) -> None:
    with caller(gateway, "600") as call:
        call_id = gateway_call_id(gateway, call)
        gateway.post(f"/v1/calls/{call_id}/say", {"text": "We close soon."})
        time.sleep(6)
        record, events = call.record()
    said = [e["text"] for e in events if e["kind"] == "say"]
    assert said == ["You have called the office of the gardeners.", "We close soon.", "Goodbye."]
    assert record["end_reason"] == "bot_hung_up"


def test_what_the_operator_says_is_said_while_keys_are_collected(
    gateway: GatewayUnderTest,
) -> None:
    with caller(gateway, "200") as call:
        call_id = gateway_call_id(gateway, call)
        time.sleep(2.5)  # the prompt is over, and 20 s are given for keys
        gateway.post(f"/v1/calls/{call_id}/say", {"text": "We close soon."})
        since = len(call.heard)
        time.sleep(2.5)
        assert call.audible_s(since) > 0.4
        call.press("12#")
        call.wait_for("BYE")
        _, events = call.record()
    said = [e["text"] for e in events if e["kind"] == "say"]
    assert said == ["Keys.", "We close soon.", "Thank you."]
    assert [e["count"] for e in events if e["kind"] == "collected"] == [2]


# --- keys ---


def test_the_same_key_again_is_a_key_again_whatever_was_lost(gateway: GatewayUnderTest) -> None:
    with caller(gateway, "200") as call:
        time.sleep(0.5)
        for durations, ends in (
            ([160, 320, 480, 640, 800, 800, 800], 3),
            ([800, 800, 800], 3),  # as long; only its ends have come
            ([640, 800, 960, 960, 960], 3),  # its first packets are lost
            ([160, 320], 0),  # its ends are lost
            ([480, 480, 480], 3),
        ):
            call.event(5, durations, ends)
            time.sleep(0.3)
        call.event(16, [160, 320, 480, 480, 480], 3)  # flash
        call.event(6, [480, 480, 480], 3)
        time.sleep(0.5)
        assert call.digits() == "555556"


def test_info_in_all_forms(gateway: GatewayUnderTest) -> None:
    relay = "application/dtmf-relay"
    with caller(gateway, "200") as call:
        for body, kind, status in (
            ("Signal=5\r\nDuration=160\r\n", relay, 200),
            ("Signal=10\r\nDuration=160\r\n", relay, 200),
            ("signal=6\r\nduration=160", relay, 200),
            ("d=7\r\n", "application/dtmf", 200),
            ("8", "audio/telephone-event", 200),
            ("<x/>", "application/media_control+xml", 415),
            ("", "", 200),
        ):
            assert call.phone.ask("INFO", body, kind).status == status
        repeated = call.phone.build("INFO", "Signal=9\r\n", relay)
        for _ in range(3):
            call.phone.send(repeated)
        call.phone.tag, tag = "another", call.phone.tag
        assert call.phone.ask("INFO", "Signal=1\r\n", relay).status == 481
        call.phone.tag = tag
        time.sleep(0.3)
        assert call.digits() == "5*6789"


def test_tones_are_keys_where_there_is_no_telephone_event(gateway: GatewayUnderTest) -> None:
    with caller(gateway, "200", without_events) as call:
        time.sleep(0.5)
        call.sound("1337#")
        time.sleep(2.5)
        assert call.digits() == "1337#"


def test_keys_are_sounded_where_there_is_no_telephone_event(gateway: GatewayUnderTest) -> None:
    with caller(gateway, "100", without_events) as call:
        call_id = gateway_call_id(gateway, call)
        time.sleep(2.5)
        gateway.post(f"/v1/calls/{call_id}/dtmf", {"digits": "159#"})
        time.sleep(0.3)
        detector = ToneDetector()
        assert "".join(detector.push(decode_ulaw(frame)) for frame in call.heard) == "159#"
        detector.close()
        assert [e["by"] for e in call.record()[1] if e["kind"] == "digits_sent"] == ["api"]


def test_keys_that_are_sounded_do_not_cost_the_bots_words(gateway: GatewayUnderTest) -> None:
    with caller(gateway, "100", without_events) as call:
        call_id = gateway_call_id(gateway, call)
        time.sleep(2.5)
        call.sound("3")
        time.sleep(2.0)
        gateway.post(f"/v1/calls/{call_id}/dtmf", {"digits": "15"})
        time.sleep(8)
        record, events = call.record()
    assert [e["by"] for e in events if e["kind"] == "digits_sent"] == ["api"]
    told = next(turn for turn in record["turns"] if turn["caller_text"] == "3")
    assert told["bot_text_heard"].endswith("Anything else?")
    assert not told["interrupted"]
