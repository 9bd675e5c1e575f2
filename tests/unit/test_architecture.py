"""The architecture, asserted on the source: who imports whom, what is done in one place only."""

from __future__ import annotations

import ast
import warnings
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))

CONTRACTS = "gateway.providers.contracts"
MODELS = "gateway.config.models"
AUDIO = "gateway.audio.format"
ALLOWED = {
    "audio": set(),
    "turn": {AUDIO, MODELS, "gateway.audio.voice_chunk"},
    "recognizer": {"threads"},
    "providers": {"audio", "threads", "script", "recognizer"},
    "script": {CONTRACTS, "gateway.config.locate"},
    "references": set(),
    "records": {
        AUDIO, MODELS, "gateway.config.store_url", "threads", "telemetry", "references",
    },
    "telemetry": {MODELS},
    "config": {"gateway.providers", "gateway.audio.wav"},
    "threads": {AUDIO, "gateway.audio.seam"},
    "sip": {
        AUDIO, "threads", "telemetry", MODELS, "gateway.conversation.line",
        "gateway.config.destinations",
    },
    "conversation": {
        "turn", "audio", "telemetry", "threads", "references", CONTRACTS, MODELS,
        "gateway.records.model",
    },
    "dialplan": {"conversation", "audio", "telemetry", "gateway.config.dialplans"},
    "http": {
        MODELS, "gateway.process.messages", "gateway.records.model", "gateway.records.query",
        "telemetry",
    },
}  # fmt: skip
"""Package -> what of ours it may import besides itself and `errors`; others may import all."""

MAIN_TASK = "gateway/demo/__init__.py:"
"""Its one task is all of the program: a signal cancels it."""
THREAD_MODULES = {"threading", "concurrent.futures", "_thread"}


@cache
def tree(path):
    return ast.parse(path.read_text(), str(path))


def imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path):
    return str(path.relative_to(ROOT))


def package_of(path):
    parts = path.relative_to(ROOT / "gateway").parts
    return parts[0].removesuffix(".py")


def forbidden(package, imported):
    if not imported.startswith("gateway."):
        return False
    target = imported.split(".")[1]
    if target in {package, "errors", "__version__", "allowance", "api_keys"}:
        return False
    return not any(
        target == allowed or f"{imported}.".startswith(f"{allowed}.")
        for allowed in ALLOWED[package]
    )


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_import_arrows(package):
    # Examples are what users write: they may import what users may.
    own = [path for path in SOURCES if package_of(path) == package]
    paths = [path for path in own if "examples" not in path.parts]
    assert paths, f"no package {package}"
    wrong = [
        f"{name_of(path)} imports {imported}"
        for path in paths
        for imported in imports(path)
        if forbidden(package, imported)
    ]
    assert not wrong


def test_one_file_sees_the_sip_library():
    users = {name_of(p) for p in SOURCES if any(i.split(".")[0] == "pjsua2" for i in imports(p))}
    assert users == {"gateway/sip/pj.py"}


def test_one_file_sees_threads():
    users = {
        name_of(path)
        for path in SOURCES
        if any(i == m or i.startswith(f"{m}.") for i in imports(path) for m in THREAD_MODULES)
    }
    assert users == {"gateway/threads.py"}


def swallows_cancellation(handler):
    names = {n.attr for n in ast.walk(handler.type) if isinstance(n, ast.Attribute)}
    names |= {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
    if not names & {"CancelledError", "BaseException"}:
        return False
    return not any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def test_cancellation_is_never_swallowed():
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or swallows_cancellation(node))
    ]
    assert not wrong


def calls(path, *names):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node


def test_tasks_live_in_groups():
    loose = ("asyncio.create_task", "asyncio.ensure_future", "loop.create_task")
    wrong = [f"{name_of(p)}:{call.lineno}" for p in SOURCES for call in calls(p, *loose)]
    wrong = [place for place in wrong if not place.startswith(MAIN_TASK)]
    assert not wrong


def test_unit_tests_never_wait_in_real_time():
    """A sleep is allowed only where the loop is a virtual one."""
    wrong = []
    for path in sorted((ROOT / "tests" / "unit").rglob("*.py")):
        text = path.read_text()
        is_virtual = "support.virtual_time" in text or "support.scene" in text
        for call in calls(path, "time.sleep", "asyncio.sleep", "sleep"):
            is_zero = bool(call.args) and ast.unparse(call.args[0]) == "0"
            is_real = ast.unparse(call.func) == "time.sleep"
            if is_real or not (is_zero or is_virtual):
                wrong.append(f"{name_of(path)}:{call.lineno}")
    assert not wrong


@pytest.mark.filterwarnings("default")
def test_long_modules_are_reported():
    for path in SOURCES:
        lines = len(path.read_text().splitlines())
        if lines > 400:
            warnings.warn(f"{name_of(path)} has {lines} lines", stacklevel=1)
