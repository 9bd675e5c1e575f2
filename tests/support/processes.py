"""Programs that tests start: none outlives its block, whatever happens in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_END_S = 10.0


@contextmanager
def running_program(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program and kill it at the end of the block, if it still runs.

    `with subprocess.Popen(...)` waits without limit instead, also when the block has failed.
    """
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(_END_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
