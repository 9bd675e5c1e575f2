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
