"""Runs `gateway doctor` as a user does, and reads what it found."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path

DEADLINE_S = 180


async def doctor(
    folder: Path, *arguments: str, files: int = 0, store_key: str = "s"
) -> tuple[int, list[dict[str, str]], str]:
    """Run it with `folder/gateway.toml`; return exit code, findings, and all that it printed."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "doctor", "--json", *arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=limit if files else None,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": store_key},
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    assert out, errors.decode()
    return process.returncode, json.loads(out)["findings"], (out + errors).decode()


WORKS = "works"
"""ok, or a warning: a busy machine is late, and the doctor says so.  How late an engine may be is
judged in `tests/unit/doctor`."""
_LEVELS = {WORKS: ("ok", "warn")}


def found(findings: list[dict[str, str]], name: str, level: str, words: str) -> bool:
    """Tell whether something is reported so: at a level of the report, or that it `WORKS`."""
    levels = _LEVELS.get(level, (level,))
    return any(
        f["name"].startswith(name) and f["level"] in levels and words in f["cause"]
        for f in findings
    )
