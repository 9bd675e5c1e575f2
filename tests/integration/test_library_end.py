"""The SIP library's end: what comes while it ends is still judged by what it calls."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys

from gateway.call.line import Line
from gateway.config.models import OutgoingConfig, SipConfig, UntrustedConfig
from gateway.sip.accounts import Library
from gateway.sip.endpoint import SipEndpoint
from tests.fuzz.admission import Judged, _Sink
from tests.support.gateway_process import free_port, free_rtp_ports
from tests.support.plain_phone import plain_phone


def test_requests_that_come_while_it_ends_are_judged() -> None:
    """In a process of its own: the library lives once in one."""
    run = [sys.executable, "-W", "error", "-m", "tests.integration.test_library_end"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_call_that_is_held_longer_than_the_library_aborts_nothing() -> None:
    run = [sys.executable, "-W", "error", "-m", "tests.integration.test_library_end", "held"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


async def end_with_a_call() -> None:
    kept: list[Line] = []
    has_come = asyncio.Event()

    def keep(line: Line) -> None:
        kept.append(line)
        has_come.set()

    sink = _Sink(Judged())
    sink.on_incoming = keep  # type: ignore[method-assign]
    port = free_port()
    config = SipConfig(bind="127.0.0.1", port=port, rtp_ports=free_rtp_ports())
    async with SipEndpoint(config, (), OutgoingConfig(), sink) as endpoint:
        pumping = asyncio.create_task(endpoint.run())
        with plain_phone(port) as phone:
            phone.send(phone.build("INVITE", phone.sdp()))
            await asyncio.wait_for(has_come.wait(), 10)
        pumping.cancel()
    kept.clear()
    gc.collect()


async def end_under_fire() -> None:
    found, port = Judged(), free_port()
    config = SipConfig(
        bind="127.0.0.1",
        port=port,
        rtp_ports=free_rtp_ports(),
        allow_sources=["127.0.0.2/32"],
        untrusted=UntrustedConfig(),
    )
    endpoint = SipEndpoint(config, (), OutgoingConfig(), _Sink(found))
    destroy = Library.libDestroy

    def destroy_late(library: Library, flags: int) -> None:
        gc.collect()  # what nobody holds is gone
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.3", 0))
            own = "{}:{}".format(*stranger.getsockname())
            head = f"REGISTER sip:gw SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\n"
            head += (
                "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: late\r\nCSeq: 1 REGISTER\r\n"
            )
            stranger.sendto(f"{head}Content-Length: 0\r\n\r\n".encode(), ("127.0.0.1", port))
            for _ in range(100):
                library.libHandleEvents(10)
                if found.refused:
                    break
        assert found.refused, "nobody judged it"
        destroy(library, flags)

    async with endpoint:
        library = endpoint._library.lib
        library.libDestroy = lambda flags: destroy_late(library, flags)  # type: ignore[method-assign]


if __name__ == "__main__":
    asyncio.run(end_with_a_call() if sys.argv[1:] == ["held"] else end_under_fire())
