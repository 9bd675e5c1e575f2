from __future__ import annotations

import asyncio
import enum
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from gateway.conversation.actions import HangUp, SendDigits, Transfer, builtin_tools
from gateway.conversation.tools import (
    CallContext,
    FunctionTool,
    ToolBox,
    ToolOutcome,
    load_tool,
    tool,
)
from gateway.errors import ToolError
from gateway.providers.contracts import ToolCall

CONTEXT = CallContext("call-1", "alice", "100", "reception")


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Item(BaseModel):
    name: str
    count: int = 1


@dataclass
class Order:
    number: int
    items: list[Item]


async def order(
    items: list[Item], size: Size, when: Literal["now", "later"] = "now", schema: str = ""
) -> Order:
    """Order drinks for the caller,
    and say so.

    Not part of the description.

    Args:
        items: what and how many,
            each kind once
        size (Size): of all of them
        schema: a name that models have too

    Returns:
        The order.
    """
    return Order(7, items)


async def greet(context: CallContext, name: str) -> str:
    """Greet."""
    return f"{name}, called by {context.caller} in {context.call_id}"


async def fail(text: str) -> None:
    raise ValueError(text)


async def refuse() -> None:
    raise ToolError("refuse", "no table is free")


async def leave() -> None:
    raise SystemExit(3)


async def too_slow() -> None:
    await asyncio.Event().wait()


async def own_timeout() -> None:
    raise TimeoutError("the booking system is slow")


async def nothing() -> None:
    """Do nothing."""


async def unwritable() -> object:
    return object()


async def long() -> str:
    return "x" * 20_000


def run(function: Any, arguments: str = "{}", timeout_s: float = 5.0) -> ToolOutcome:
    built = FunctionTool.of(function)
    box = ToolBox([built], timeout_s=timeout_s)
    return asyncio.run(box.run(ToolCall("c1", built.spec.name, arguments), CONTEXT))


def test_the_schema_comes_from_signature_and_docstring():
    spec = FunctionTool.of(order).spec
    assert spec.name == "order"
    assert spec.description == "Order drinks for the caller, and say so."
    parameters: Any = spec.parameters
    assert list(parameters["properties"]) == ["items", "size", "when", "schema"]
    assert parameters["required"] == ["items", "size"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["items"]["description"] == "what and how many, each kind once"
    assert parameters["properties"]["size"]["description"] == "of all of them"
    assert parameters["properties"]["when"]["enum"] == ["now", "later"]
    assert parameters["properties"]["when"]["default"] == "now"
    assert '"title"' not in json.dumps(parameters)


def test_the_calls_context_is_injected_and_no_parameter():
    assert FunctionTool.of(greet).spec.parameters["required"] == ["name"]
    outcome = run(greet, '{"name": "Bob"}')
    assert json.loads(outcome.result.content) == "Bob, called by alice in call-1"


def test_arguments_are_validated_and_results_are_json():
    arguments = '{"items": [{"name": "tea", "count": "2"}], "size": "large"}'
    result = run(order, arguments).result
    assert not result.is_error
    assert json.loads(result.content) == {"number": 7, "items": [{"name": "tea", "count": 2}]}
    assert (result.call_id, result.name) == ("c1", "order")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ("{", "Invalid JSON"),
        ("[1]", "object"),
        ('"tea"', "object"),
        ("{}", "items: Field required"),
        ('{"items": [], "size": "huge"}', "size: Input should be 'small' or 'large'"),
        ('{"items": [{"count": 1}], "size": "small"}', "items.0.name: Field required"),
        ('{"items": [], "size": "small", "ice": true}', "ice: Extra inputs"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(arguments: str, hint: str):
    result = run(order, arguments).result
    assert result.is_error
    assert hint in json.loads(result.content)["error"]


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        (fail, '{"text": "no such room"}', "ValueError: no such room"),
        (refuse, "", "no table is free"),
        (leave, "", "SystemExit: 3"),
        (own_timeout, "", "TimeoutError: the booking system is slow"),
        (unwritable, "", "its result cannot be written as JSON"),
    ],
)
def test_failures_are_results(function: Any, arguments: str, error: str):
    result = run(function, arguments).result
    assert result.is_error
    assert error in json.loads(result.content)["error"]


def test_a_tool_has_a_time_limit():
    assert "no result within 0.001 s" in run(too_slow, timeout_s=0.001).result.content


def test_a_tools_own_time_limit_wins():
    @tool(timeout_s=0.001)
    async def slow() -> None:
        await asyncio.Event().wait()

    assert "no result within 0.001 s" in run(slow).result.content


def test_nothing_is_still_an_answer():
    assert json.loads(run(nothing).result.content) == {"status": "ok"}


def test_long_results_keep_their_beginning_and_stay_json():
    content = run(long).result.content
    assert len(content) < 9000
    assert "20002 characters" in json.loads(content)["note"]


def test_an_unknown_tool_names_the_known_ones():
    box = ToolBox([FunctionTool.of(greet)])
    result = asyncio.run(box.run(ToolCall("c", "gret", "{}"), CONTEXT)).result
    assert result.is_error
    assert "there are: greet" in result.content


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(ToolError, match="two tools"):
        ToolBox([FunctionTool.of(greet)], [FunctionTool.of(greet)])


def test_tools_have_side_effects_unless_they_say_otherwise():
    @tool(side_effects=False)
    async def look_up() -> None: ...

    box = ToolBox([FunctionTool.of(look_up), FunctionTool.of(nothing)])
    assert not box.has_side_effects("look_up")
    assert box.has_side_effects("nothing")
    assert box.has_side_effects("unknown")


def test_calls_run_side_by_side_and_answer_in_order():
    async def main() -> None:
        second_began = asyncio.Event()

        async def first() -> str:
            await second_began.wait()
            return "first"

        async def second() -> str:
            second_began.set()
            return "second"

        box = ToolBox([FunctionTool.of(first), FunctionTool.of(second)])
        calls = [ToolCall("a", "first", ""), ToolCall("b", "second", ""), ToolCall("c", "no", "")]
        outcomes = await asyncio.gather(*(box.run(call, CONTEXT) for call in calls))
        assert [outcome.result.call_id for outcome in outcomes] == ["a", "b", "c"]
        assert [outcome.result.is_error for outcome in outcomes] == [False, False, True]

    asyncio.run(main())


def test_cancelling_passes_through_to_the_tool():
    async def main() -> list[str]:
        seen: list[str] = []
        began = asyncio.Event()

        async def wait() -> None:
            try:
                began.set()
                await asyncio.Event().wait()
            finally:
                seen.append("ended")

        box = ToolBox([FunctionTool.of(wait)])
        async with asyncio.TaskGroup() as group:
            task = group.create_task(box.run(ToolCall("a", "wait", "{}"), CONTEXT))
            await began.wait()
            task.cancel()
        assert task.cancelled()
        return seen

    assert asyncio.run(main()) == ["ended"]


# --- what cannot be a tool --------------------------------------------------------------------


def untyped(name) -> None: ...  # type: ignore[no-untyped-def]
def variadic(*names: str) -> None: ...
def by_position(name: str, /) -> None: ...
def no_schema(callback: Callable[[], int]) -> None: ...
def unusable(loop: asyncio.AbstractEventLoop) -> None: ...
def unknown_type(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def pieces() -> Iterator[str]:
    yield ""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (untyped, "'name' has no type"),
        (variadic, "cannot be given by name"),
        (by_position, "cannot be given by name"),
        (no_schema, "JSON cannot express"),
        (unusable, "not usable"),
        (unknown_type, "signature cannot be read"),
        (pieces, "generator"),
        (lambda: None, "name may have"),
    ],
)
def test_what_cannot_be_a_tool_says_why(function: Any, problem: str):
    with pytest.raises(ToolError, match=problem):
        FunctionTool.of(function)


SHOP = '''
"""A user's tools."""
from __future__ import annotations
from dataclasses import dataclass

COUNT = 3

@dataclass
class Thing:
    name: str

def price(thing: Thing) -> float:
    """Tell a price."""
    return 2.5

def untyped(x): ...
'''


@pytest.fixture
def base_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "broken.py").write_text("import sys\nsys.exit(1)\n")
    (tmp_path / "bad_import.py").write_text("import no_such_library\n")
    (tmp_path / "gateway_test_shop.py").write_text(SHOP)
    return tmp_path


@pytest.mark.parametrize("reference", ["shop.py:price", "gateway_test_shop:price"])
def test_tools_are_loaded_by_path_and_by_module(reference: str, base_dir: Path):
    loaded = load_tool(reference, base_dir)
    assert loaded.spec.description == "Tell a price."
    assert loaded.bind('{"thing": {"name": "tea"}}')["thing"].name == "tea"


def test_a_file_is_imported_once(base_dir: Path):
    one, two = (load_tool("shop.py:price", base_dir) for _ in range(2))
    assert one.function is two.function


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("shop.py", "write package.module:function"),
        ("shop.py:", "write package.module:function"),
        ("none.py:price", "no such file: .*none.py"),
        ("no_such_package.tools:price", "No module named 'no_such_package'"),
        ("shop.py:cost", "there is no 'cost' in .*shop.py"),
        ("shop.py:COUNT", "'COUNT' is a int, not a function"),
        ("shop.py:untyped", "'x' has no type"),
        ("broken.py:x", "import failed: SystemExit"),
        ("bad_import.py:x", "No module named 'no_such_library'"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(reference: str, problem: str, base_dir: Path):
    with pytest.raises(ToolError, match=problem):
        load_tool(reference, base_dir)


# --- built-ins --------------------------------------------------------------------------------

TARGETS = {"sales": "sip:sales@example.net", "front desk": "sip:100@example.net"}


def run_builtin(name: str, arguments: str) -> ToolOutcome:
    box = ToolBox((), builtin_tools(("hang_up", "transfer_call", "send_dtmf"), TARGETS))
    return asyncio.run(box.run(ToolCall("c", name, arguments), CONTEXT))


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("hang_up", "", HangUp()),
        ("hang_up", '{"reason": "done"}', HangUp("done")),
        (
            "transfer_call",
            '{"target": "front desk"}',
            Transfer(TARGETS["front desk"], "front desk"),
        ),
        ("send_dtmf", '{"digits": "1*#A"}', SendDigits("1*#A")),
    ],
)
def test_builtins_ask_for_an_action_after_playout(name: str, arguments: str, action: object):
    outcome = run_builtin(name, arguments)
    assert outcome.action == action
    assert not outcome.result.is_error
    assert "was played" in outcome.result.content


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("transfer_call", '{"target": "sip:evil@example.org"}'),
        ("transfer_call", "{}"),
        ("send_dtmf", '{"digits": "12x"}'),
        ("send_dtmf", '{"digits": ""}'),
        ("send_dtmf", '{"digits": "%s"}' % ("1" * 33)),
    ],
)
def test_builtins_refuse_what_they_must(name: str, arguments: str):
    outcome = run_builtin(name, arguments)
    assert outcome.result.is_error
    assert outcome.action is None


def test_the_transfer_targets_are_in_the_schema():
    (transfer,) = builtin_tools(("transfer_call",), TARGETS)
    parameters: Any = transfer.spec.parameters
    assert parameters["properties"]["target"]["enum"] == list(TARGETS)


def test_without_targets_there_is_no_transfer():
    assert builtin_tools(("transfer_call",), {}) == ()


def test_an_unknown_builtin_is_an_error():
    names: Any = ("sing",)
    with pytest.raises(ToolError, match="no such built-in"):
        builtin_tools(names, {})


def test_a_constraint_in_the_signature_reaches_the_model():
    async def book(people: Annotated[int, Field(ge=1, le=8, description="how many")]) -> None: ...

    parameters: Any = FunctionTool.of(book).spec.parameters
    assert parameters["properties"]["people"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 8,
        "description": "how many",
    }


def test_what_may_run_for_a_reply_that_is_never_heard():
    builtins = builtin_tools(["hang_up", "transfer_call", "send_dtmf"], {"desk": "sip:desk@h"})
    examples = "gateway.script.examples.front_desk_tools"
    names = ["opening_hours", "take_message", "place_order"]
    box = ToolBox([load_tool(f"{examples}:{name}", Path()) for name in names], builtins)
    acting = {spec.name for spec in box.specs if box.has_side_effects(spec.name)}
    assert acting == {"take_message", "place_order"}


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ('{"size": null}', {}),
        ('{"size": null, "items": null}', {}),
        ('{"items": "[1, 2]"}', {"items": [1, 2]}),
        ('{"size": 3}', {"size": 3}),
    ],
)
def test_null_for_a_default_and_json_within_a_string_are_understood(arguments, kept):
    def order(size: int = 1, items: list[int] = []) -> None:  # noqa: B006
        """Order."""

    assert FunctionTool.of(order).bind(arguments) == kept


def test_null_where_something_is_needed_is_still_wrong():
    def order(size: int) -> None:
        """Order."""

    with pytest.raises(ValidationError):
        FunctionTool.of(order).bind('{"size": null}')
