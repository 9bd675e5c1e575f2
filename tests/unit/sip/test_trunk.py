"""Registration: back-off and what can be seen of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import TrunkConfig
from gateway.sip.srv import Located, Target
from gateway.sip.trunk import Trunk, retry_after_s, retry_delay_s
from tests.support.virtual_time import run

CONFIG = TrunkConfig(
    name="t", server="sip.example.net", user="alice", retry_min_s=2, retry_max_s=60
)


class Account:
    def __init__(self):
        self.tries_s = []

    def setRegistration(self, renew):  # noqa: N802 (the library's)
        assert renew
        self.tries_s.append(asyncio.get_running_loop().time())


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 2), (2, 4), (5, 32), (6, 60), (999, 60)])
def test_the_delay_doubles_up_to_its_limit(failures, delay_s):
    assert retry_delay_s(CONFIG, failures, 0.5) == delay_s
    assert retry_delay_s(CONFIG, failures, 0.0) == delay_s * 0.75
    assert retry_delay_s(CONFIG, failures, 1.0) == delay_s * 1.25


def test_failures_are_retried_and_success_starts_afresh():
    async def main():
        states, account = [], Account()
        trunk = Trunk(CONFIG, asyncio.get_running_loop(), states.append)
        trunk.attach(account)
        trunk.on_registration(503, "busy", 0)
        assert (states[-1].state, states[-1].failures, states[-1].status) == ("failed", 1, 503)
        await asyncio.sleep(3)
        assert len(account.tries_s) == 1
        trunk.on_registration(503, "busy", 0)
        assert states[-1].failures == 2
        trunk.on_registration(200, "OK", 300)
        await asyncio.sleep(100)
        assert len(account.tries_s) == 1  # nothing left over
        assert (states[-1].state, states[-1].failures) == ("registered", 0)
        trunk.on_registration(200, "OK", 0)
        assert states[-1].state == "unregistered"
        trunk.on_registration(403, "no", 0)
        trunk.stop()
        await asyncio.sleep(100)
        assert len(account.tries_s) == 1

    run(main())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("Retry-After: 30", 30), ("Retry-After: 18000;duration=3600", 3600), ("retry-after:5 (x)", 5),
     ("Retry-After: soon", 0), ("X: 1", 0), ("Retry-After: -5", 0)],
)  # fmt: skip
def test_how_long_a_registrar_wants_to_be_left_alone(header, seconds):
    assert retry_after_s(f"SIP/2.0 503 Busy\r\n{header}\r\n\r\n") == seconds
    assert retry_after_s("") == 0


def test_a_registrar_is_left_alone_as_long_as_it_says():
    async def main():
        states, account = [], Account()
        trunk = Trunk(CONFIG, asyncio.get_running_loop(), states.append)
        trunk.attach(account)
        trunk.on_registration(503, "busy", 0, 500)
        assert states[-1].retry_in_s == 500
        await asyncio.sleep(499)
        assert account.tries_s == []
        await asyncio.sleep(2)
        assert len(account.tries_s) == 1
        trunk.stop()

    run(main(), limit_s=2000)


def test_addresses_and_static_trunks():
    async def main():
        loop = asyncio.get_running_loop()
        static = CONFIG.model_copy(update={"user": "", "transport": "tcp"})
        trunk = Trunk(static, loop, lambda _: None)
        assert trunk.state.state == "static"

    run(main())


def test_a_static_trunk_reports_its_server():
    async def main():
        loop, states = asyncio.get_running_loop(), []
        static = CONFIG.model_copy(update={"user": ""})
        found = looking_up(located("10.0.0.1"), located("10.0.0.2"))
        trunk = Trunk(static, loop, states.append, look_up=found)
        task = loop.create_task(trunk.keep_addresses(lambda _: None))
        await asyncio.sleep(301)
        task.cancel()
        await asyncio.wait([task])
        assert [(s.state, s.server) for s in states] == [
            ("static", "10.0.0.1:5060"),
            ("static", "10.0.0.2:5060"),
        ]

    run(main(), limit_s=400)


def looking_up(*answers):
    """A double of `locate`: gives one answer after the other, the last again and again."""
    left = list(answers)

    async def look_up(place, transport, *, needs_srv=False):
        assert (place, transport) == ("sip.example.net", "udp")
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, OSError):
            raise found
        return found

    return look_up


def located(*hosts, by_srv=False, priorities=(0, 0, 0, 0)):
    targets = (Target(h, 5060, p) for h, p in zip(hosts, priorities, strict=False))
    return Located(tuple(targets), by_srv)


class Led:
    """A trunk whose server is looked up, in virtual time."""

    def __init__(self, *answers):
        self.states, self.used, self.servers, self.account = [], [], [], Account()
        loop = asyncio.get_running_loop()
        self.trunk = Trunk(CONFIG, loop, self.states.append, look_up=looking_up(*answers))
        self.trunk.attach(self.account)

    async def __aenter__(self):
        keeping = self.trunk.keep_addresses(
            lambda address: self.used.append(address[0]), self.servers.append
        )
        self._keeping = asyncio.ensure_future(keeping)
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_error):
        self.trunk.stop()
        self._keeping.cancel()
        await asyncio.wait([self._keeping])


def test_a_server_is_looked_up_beside_the_loop_and_followed():
    gone = OSError("no name server")

    async def main():
        async with Led(
            gone, gone, located("10.0.0.1", "10.0.0.2"), located("10.0.0.2", "10.0.0.1"),
            gone, located("10.0.0.3"),
        ) as led:  # fmt: skip
            await asyncio.sleep(16)
            assert led.used == []
            assert [(s.state, s.status, s.failures) for s in led.states] == [
                ("failed", 503, 1),
                ("failed", 503, 2),
            ]
            assert "sip.example.net" in led.states[-1].reason
            await asyncio.sleep(20)
            assert led.used == ["10.0.0.1"]  # whatever the order, as long as it is one of them
            await asyncio.sleep(600)
            assert led.used == ["10.0.0.1"]  # a name server that is gone again changes nothing
            assert {str(n) for n in led.trunk.networks} == {"10.0.0.1/32", "10.0.0.2/32"}
            await asyncio.sleep(400)
            assert led.used == ["10.0.0.1", "10.0.0.3"]
            assert len(led.states) == 2

    run(main(), limit_s=2000)


def test_addresses_that_rotate_stay_trusted_for_an_hour():
    async def main():
        async with Led(located("10.0.0.1"), located("10.0.0.2"), located("10.0.0.3")) as led:
            await asyncio.sleep(700)
            assert led.trunk.address == ("10.0.0.3", 5060)
            assert [led.trunk.is_at(f"10.0.0.{n}") for n in (1, 2, 3, 4)] == [True] * 3 + [False]
            assert led.servers[-1] == tuple((f"10.0.0.{n}", 5060) for n in (3, 2, 1))
            await asyncio.sleep(3600)
            assert [led.trunk.is_at(f"10.0.0.{n}") for n in (1, 2, 3)] == [False, False, True]

    run(main(), limit_s=6000)


def test_a_registrar_that_does_not_answer_is_left_for_the_next_one():
    async def main():
        async with Led(located("10.0.0.1", "10.0.0.2", by_srv=True, priorities=(1, 2))) as led:
            assert led.used == ["10.0.0.1"]
            assert led.trunk.is_at("10.0.0.2")  # trusted, used or not
            assert led.servers[-1] == (("10.0.0.1", 5060), ("10.0.0.2", 5060))
            led.trunk.on_registration(408, "Request Timeout", 0)
            assert (led.states[-1].state, led.states[-1].retry_in_s) == ("failed", 0.0)
            await asyncio.sleep(0.1)
            assert led.used == ["10.0.0.1", "10.0.0.2"]
            assert led.account.tries_s == []  # the account's change registers
            led.trunk.on_registration(503, "busy", 0)  # both: slowly again, one after the other
            assert led.states[-1].retry_in_s > 1
            await asyncio.sleep(6)
            assert led.used == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
            led.trunk.on_registration(200, "OK", 300)
            assert (led.states[-1].state, led.states[-1].server) == ("registered", "10.0.0.1:5060")
            led.trunk.on_registration(403, "no", 0)  # an answer: nobody else would say better
            await asyncio.sleep(4)
            assert len(led.used) == 3
            assert len(led.account.tries_s) == 1

    run(main(), limit_s=2000)


def test_calls_that_meet_silence_move_the_trunk_and_it_comes_back():
    async def main():
        async with Led(located("10.0.0.1", "10.0.0.2", by_srv=True, priorities=(1, 2))) as led:
            one, two = led.servers[-1]
            assert led.trunk.address == one
            assert led.trunk.leave_silent([one])
            assert led.trunk.leave_silent([one])  # another call that began before
            assert led.used == ["10.0.0.1", "10.0.0.2"]
            assert led.trunk.address == two
            assert not led.trunk.leave_silent([one, two])  # the call has tried both
            assert len(led.used) == 2
            led.trunk.on_registration(200, "OK", 300)  # but it lives
            await asyncio.sleep(1500)
            assert len(led.used) == 2
            await asyncio.sleep(700)
            assert led.used == ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
        async with Led(located("10.0.0.1")) as led:  # there is but one
            assert not led.trunk.leave_silent(led.servers[-1])
            assert led.used == ["10.0.0.1"]

    run(main(), limit_s=5000)
