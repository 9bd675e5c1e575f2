"""Registration: back-off and what can be seen of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.models import TrunkConfig
from gateway.sip.trunk import Trunk, retry_delay_s
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


def test_addresses_and_static_trunks():
    async def main():
        loop = asyncio.get_running_loop()
        static = CONFIG.model_copy(update={"user": "", "transport": "tcp"})
        trunk = Trunk(static, loop, lambda _: None)
        assert trunk.state.state == "static"
        assert trunk.uri("100") == "sip:100@sip.example.net;transport=tcp"
        assert Trunk(CONFIG, loop, lambda _: None).uri("100") == "sip:100@sip.example.net"

    run(main())


def test_a_server_is_looked_up_beside_the_loop_and_followed():
    answers = [OSError("no name server"), OSError("no name server"), ["10.0.0.1", "10.0.0.2"],
               ["10.0.0.2", "10.0.0.1"], OSError("gone"), ["10.0.0.3"]]  # fmt: skip

    async def look_up(*_args, **_how):
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, OSError):
            raise found
        return [(2, 2, 17, "", (address, 5060)) for address in found]

    async def main():
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = look_up
        states, used = [], []
        trunk = Trunk(CONFIG, loop, states.append)
        keeping = asyncio.ensure_future(trunk.keep_addresses(used.append))
        await asyncio.sleep(16)
        assert used == []
        assert [(s.state, s.status, s.failures) for s in states] == [
            ("failed", 503, 1),
            ("failed", 503, 2),
        ]
        assert "sip.example.net" in states[-1].reason
        await asyncio.sleep(20)
        assert used == ["10.0.0.1"]  # whatever the order, as long as it is one of them
        await asyncio.sleep(600)
        assert used == ["10.0.0.1"]  # a name server that is gone again changes nothing
        assert {str(n) for n in trunk.networks} == {"10.0.0.1/32", "10.0.0.2/32"}
        await asyncio.sleep(400)
        assert used == ["10.0.0.1", "10.0.0.3"]
        assert len(states) == 2
        keeping.cancel()
        await asyncio.wait([keeping])

    run(main(), limit_s=2000)
