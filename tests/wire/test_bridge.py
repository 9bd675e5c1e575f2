"""Ports of the library's bridge that carry no call cost no Python."""

from __future__ import annotations

import subprocess
import sys

TICKS = '''
import asyncio, threading, time
from gateway.config.models import SipConfig
from gateway.sip import pj
from gateway.sip.bridge import Bridge
from gateway.sip.library import LibraryLog, library_settings
from gateway.sip.media_port import CallMediaPort
from gateway.call.media import FrameInlet, FrameOutlet, TickBell

ticks = threading.Semaphore(0)

class Counted(CallMediaPort):
    def onFrameReceived(self, frame):
        ticks.release()

def silent():
    """True when no tick comes in five times their distance."""
    while ticks.acquire(blocking=False):
        pass
    return not ticks.acquire(timeout=0.1)

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


def test_a_port_is_ticked_only_while_it_carries_a_call() -> None:
    done = subprocess.run(  # the library exists once per process
        [sys.executable, "-c", TICKS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.endswith("done\n"), done.stderr[-2000:]
