"""The architecture, asserted on the source: who imports whom, what is done in one place only."""

from __future__ import annotations

import ast
import warnings
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))

CONTRACTS = "providers.contracts"
MODELS = "config.models"
RECORD = "records.model"
EVENTS = "call.events"
TRUNK = "sip.trunk_status"
ALLOWED = {
    # From low to high: a package imports only what stands above it in this table.
    "errors": set(),
    "allowance": set(),
    "api_keys": set(),
    "installing": set(),
    "locked_json": set(),
    "placeholders": set(),
    "references": set(),
    "sip_uri": set(),
    "threads": set(),
    "wording": set(),
    "child_processes": set(),
    "languages": set(),
    "models": set(),
    "spoken": {"languages"},
    "audio": set(),
    CONTRACTS: {"audio.format", "audio.voice_chunk"},
    "providers.call_ids": set(),
    "webhooks.signature": set(),
    "webhooks.status": set(),
    "config": {"audio.wav", "sip_uri", "placeholders", "webhooks.signature"},
    "telemetry": {MODELS},
    "turn": {"audio.format", "audio.voice_chunk", MODELS, "languages"},
    RECORD: set(),
    EVENTS: {CONTRACTS, RECORD, "turn.events"},
    "records": {
        "audio.format", MODELS, "config.store_url", "threads", "telemetry", "references", RECORD,
        EVENTS,
    },
    "call": {
        "audio", "languages", "telemetry", MODELS, CONTRACTS, RECORD, "records.bundle",
        "turn.events", EVENTS,
    },
    "report": {RECORD},
    "recognizer": {"audio", "threads"},
    "script": {CONTRACTS, "config.locate"},
    "providers": {
        "audio", "languages", "threads", CONTRACTS, "providers.call_ids", "script", "recognizer",
        "config.engine_table",
    },
    "routing": {MODELS},
    "setup": {"config", "languages", "models", "providers", "routing.hours"},
    "sip": {
        "audio.format", "threads", "telemetry", MODELS, "call.line", "call.media", "call.inlet",
        "call.transport", RECORD, "config.destinations", "locked_json", "sip_uri",
    },
    "conversation": {
        "call", "turn", "audio", "languages", "spoken", "telemetry", "threads", "references",
        CONTRACTS, MODELS, "placeholders", "locked_json", "providers.call_ids", RECORD,
        "providers.kit.speech",
        "providers.kit.reach",
        "providers.speech_to_speech",
    },
    "routed": {
        "call", "config.engine_table", "conversation.call_variables", "conversation.day_ledger",
        "conversation.recognizer_session", "conversation.spending", "conversation.tokens",
        "conversation.voice_session", "audio", CONTRACTS, MODELS, RECORD, "providers", "routing",
    },
    "dialplan": {
        "call", "conversation", "audio", "telemetry", "config.dialplans", "placeholders",
    },
    "realtime.protocol": set(),
    "realtime": {
        "audio", "call", "conversation", "dialplan.steps", "config.dialplans", MODELS, CONTRACTS,
        "turn.events", "telemetry", "realtime.protocol",
    },
    "edge": {"child_processes", "config", "sip"},
    "http": {
        MODELS, RECORD, "records.query", "telemetry", "call.events", TRUNK, "webhooks.status",
        "realtime.protocol",
    },
    "webhooks": {
        "call.events", MODELS, "http.event_feed", RECORD, "records.outbox", "telemetry", "threads",
        "webhooks.signature", "webhooks.status",
    },
    "probe": {"audio", "providers"},
    "process": {
        "audio", "call", "child_processes", "config", "conversation", "dialplan", "edge", "http",
        "providers", "realtime", "recognizer", "records", "routed", "setup", "sip", "telemetry",
        "threads", "webhooks",
    },
    "replay": {"audio", "call", "config", "conversation", "providers", "records", "turn"},
    "demo": {"call", "process", "records", "turn"},
    "load": {"child_processes", "demo", "probe", "process", "records", "replay", "telemetry"},
    "doctor": {
        "audio", "child_processes", "config", "probe", "process", "providers", "recognizer",
        "records", "setup", "sip", "telemetry",
    },
    "cli": {
        "audio", "call", "config", "conversation", "demo", "dialplan", "doctor", "edge", "load",
        "models",
        "providers", "records", "replay", "report", "routed", "script", "setup", "sip", "telemetry",
    },
}  # fmt: skip
"""Package or module of ours -> which others it may import, besides `FOUNDATION`."""
FOUNDATION = {"errors", "allowance", "api_keys", "installing", "wording", "__version__"}

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


def floor_of(dotted):
    """Return the entry of the table that a module, or what is imported of one, belongs to."""
    parts = dotted.removeprefix("gateway.").split(".")
    dotted_names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((name for name in dotted_names if name in ALLOWED), "")


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_entry(path):
    """Examples are what users write, and programs wire packages together."""
    return "examples" in path.parts or path.name == "__main__.py"


def is_forbidden(floor, imported):
    if not imported.startswith("gateway."):
        return False
    name = imported.removeprefix("gateway.")
    if floor_of(name) == floor or name.split(".")[0] in FOUNDATION:
        return False
    return not any(f"{name}.".startswith(f"{allowed}.") for allowed in ALLOWED[floor])


def test_every_module_belongs_to_a_floor():
    homeless = [name_of(p) for p in SOURCES if not is_entry(p) and not floor_of(module_of(p))]
    assert homeless == ["gateway/__init__.py"]


@pytest.mark.parametrize("floor", ALLOWED)
def test_import_arrows(floor):
    own = [path for path in SOURCES if floor_of(module_of(path)) == floor]
    assert own, f"no package {floor}"
    wrong = [
        f"{name_of(path)} imports {imported}"
        for path in own
        if not is_entry(path)
        for imported in imports(path)
        if is_forbidden(floor, imported)
    ]
    assert not wrong


def test_arrows_point_down_so_that_there_is_no_cycle():
    order = list(ALLOWED)
    wrong = [
        f"{floor} -> {allowed}"
        for floor in order
        for allowed in ALLOWED[floor]
        if order.index(floor_of(allowed)) >= order.index(floor)
    ]
    assert not wrong


def test_no_provider_is_known_by_its_name():
    """What is special about one is an attribute of it, or a function of its module."""
    folders = (ROOT / "gateway" / "providers").glob("*/*.py")
    providers = {path.stem for path in folders if path.parent.name in ("stt", "llm", "tts", "vad")}
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare)
        and ".provider" in ast.unparse(node)
        and providers & {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
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
        is_virtual = any(
            f"support.{name}" in text for name in ("virtual_time", "scene", "session_call", "play")
        )
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
