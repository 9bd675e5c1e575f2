"""Ports of the library's bridge that carry no call cost no Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARY = """
import asyncio, threading, time
from gateway.audio.format import WIDEBAND
from gateway.config.models import SipConfig
from gateway.sip import pj
from gateway.sip.bridge import Bridge
from gateway.sip.library import LibraryLog, library_settings
from gateway.sip.media_port import CallMediaPort
from gateway.call.inlet import FrameInlet, TickBell
from gateway.call.media import FrameOutlet

lib = pj.Endpoint()
lib.libCreate()
log = LibraryLog()
lib.libInit(library_settings(SipConfig(), log))
lib.libStart()
lib.audDevManager().setNullDev()
bridge = Bridge()
assert bridge.is_found
loop = asyncio.new_event_loop()
bell = TickBell(loop)
"""
TICKS = '''
ticks = threading.Semaphore(0)

class Counted(CallMediaPort):
    def onFrameReceived(self, frame):
        ticks.release()

def silent():
    """True when no tick comes in five times their distance."""
    while ticks.acquire(blocking=False):
        pass
    return not ticks.acquire(timeout=0.1)

port = Counted("slot", bell, bridge)
deadline = time.monotonic() + 10
while not silent():
    assert time.monotonic() < deadline
inlet = FrameInlet(loop, bell)
port.attach(inlet, FrameOutlet())
assert all(ticks.acquire(timeout=10) for _ in range(5))
port.detach()
deadline = time.monotonic() + 10
while not silent():
    assert time.monotonic() < deadline
del port
lib.libDestroy()
print("done")
'''


HELD = '''
class Stream:
    """Of a wide call."""

    def exchange(self, sent):
        exchanged.release()
        return b""

def until(ticks, count):
    deadline = time.monotonic() + 10
    while len(ticks) < count:
        ticks += inlet.take_nowait()
        assert time.monotonic() < deadline
        time.sleep(0.01)

exchanged = threading.Semaphore(0)
port = CallMediaPort("slot", bell, bridge)
inlet, outlet = FrameInlet(loop, bell), FrameOutlet()
lane = outlet.open()
for _ in range(1000):
    lane.put_nowait(b"\\1" * WIDEBAND.frame_bytes)
port._wide = Stream()
port.attach(inlet, outlet)
assert all(exchanged.acquire(timeout=10) for _ in range(3))
port.part()
ticks = []
until(ticks, 10)
until(ticks, len(ticks) + 3)
port.detach()
assert {len(tick.received) for tick in ticks} == {320, 640}
assert all(len(tick.received) == len(tick.sent) for tick in ticks)
assert not any(any(tick.sent) for tick in ticks if len(tick.sent) == 320)
del port
lib.libDestroy()
print("done")
'''


@pytest.mark.parametrize(
    "program", [TICKS, HELD], ids=["only while it carries a call", "after a wide stream"]
)
def test_a_port_is_ticked(program: str) -> None:
    done = subprocess.run(  # the library exists once per process
        [sys.executable, "-c", LIBRARY + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.endswith("done\n"), done.stderr[-2000:]
