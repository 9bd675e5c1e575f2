"""A worker without file descriptors: calls in progress go on, new ones are refused with 503."""

from __future__ import annotations

import asyncio
import os
import resource
from itertools import count
from pathlib import Path

import pytest

from gateway.errors import CallRejected
from tests.support.asking import is_answered
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import calling, normal_call


def test_no_file_descriptors_left(tmp_path: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        async with calling(gateway.uri()) as phone:
            await phone.bot_is_done()
            worker = gateway.worker_pid
            soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
            taken = {int(fd.name) for fd in os.scandir(f"/proc/{worker}/fd")}
            used = next(number for number in count() if number not in taken)
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (used, hard))
            try:
                for _ in range(2):
                    with pytest.raises(CallRejected, match="503"):
                        await normal_call(gateway.uri())
                await is_answered(phone)
            finally:
                resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
            fresh = await normal_call(gateway.uri())
            await is_answered(phone)
        assert gateway.worker_pid == worker
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        assert sum(bool(turn["caller_text"]) for turn in record["turns"]) == 2
        assert (await gateway.finished(fresh))["end_reason"] == "caller_hung_up"
        assert gateway.logged("call_refused")[0]["rule"] == "file_descriptors"

    with live_gateway(tmp_path, {"agents": {"desk": {"greeting": "Good morning."}}}) as gateway:
        asyncio.run(scenario(gateway))
