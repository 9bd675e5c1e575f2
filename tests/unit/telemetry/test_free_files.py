"""How many files a process may still open."""

from __future__ import annotations

import os
import resource

from gateway.telemetry.process import has_free_files


def test_it_follows_the_limit_and_says_no_when_nothing_is_left():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = sum(1 for _ in os.scandir("/proc/self/fd"))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
        assert has_free_files(16)
        assert not has_free_files(60)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        assert not has_free_files(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert has_free_files(1)
