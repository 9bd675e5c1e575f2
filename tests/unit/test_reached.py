"""Every definition of the gateway is used by the gateway: one that only tests name is not reached.

A finished, well-tested module was once called by nobody.  Names are compared, not scopes, so a
definition may hide behind a namesake; imports, `__all__` and a definition's own body do not count.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
USERS = ("gateway", "benchmarks", "deploy", "tests/fuzz")
"""What may use a definition; `make fuzz` and `make bench` are programs, not tests."""
PLUG_INS = ROOT / "docs" / "add-a-provider.md"
"""Its examples are run by tests: they use what is there for providers in packages of their own."""
CALLED_BY_LIBRARIES = {
    # asyncio.Protocol and asyncio.DatagramProtocol
    "connection_made", "connection_lost", "data_received", "datagram_received", "error_received",
    "eof_received", "pause_writing", "resume_writing",
    "capture_signals",  # uvicorn.Server
    "on_response_complete", "timeout_keep_alive_handler",  # uvicorn's HTTP protocol
    "handle_websocket_upgrade",
    "process_redirect",  # websockets' connect
    "field_title_should_be_set", "generate",  # pydantic's GenerateJsonSchema
}  # fmt: skip
EXAMPLES = "gateway/script/examples"
"""Named by TOML files, not by code."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def names_used(node: ast.AST) -> Counter[str]:
    """Count the names below a node, each time one is read, written or asked for as an attribute."""
    found: Counter[str] = Counter()
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            found[part.id] += 1
        elif isinstance(part, ast.Attribute):
            found[part.attr] += 1
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.update(part.value.split(":")[-1:])  # "module:function" as plug-ins are named
    return found


def without_exports(module: ast.Module) -> ast.Module:
    """Leave out `__all__`: a name that is only exported is not used."""
    body = [
        node
        for node in module.body
        if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    ]
    return ast.Module(body, [])


def definitions(node: ast.AST, inside: str = "") -> Iterator[tuple[Definition, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield child, inside
            if isinstance(child, ast.ClassDef):
                yield from definitions(child, child.name)
        elif isinstance(child, ast.If | ast.Try):
            yield from definitions(child, inside)


def is_called_by_a_library(definition: Definition, inside: str) -> bool:
    name = definition.name
    if name in CALLED_BY_LIBRARIES or (name.startswith("__") and name.endswith("__")):
        return True
    if inside and name.startswith("on") and name[2:3].isupper():  # pjsua2's virtual methods
        return True
    plain = {"property", "staticmethod", "classmethod", "cache", "dataclass", "contextmanager"}
    plain |= {"asynccontextmanager", "override", "overload", "abstractmethod", "final"}
    decorators = [ast.unparse(d).partition("(")[0] for d in definition.decorator_list]
    return any(d.rpartition(".")[2] not in plain for d in decorators)  # a route, a validator


def unreached() -> list[str]:
    used: Counter[str] = Counter()
    for folder in USERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            used += names_used(without_exports(tree(path)))
    for source in re.findall(r"```python\n(.*?)```", PLUG_INS.read_text(), re.DOTALL):
        used += names_used(ast.parse(source))
    wrong = []
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        if path.relative_to(ROOT).as_posix().startswith(EXAMPLES):
            continue
        for definition, inside in definitions(tree(path)):
            own = names_used(definition)[definition.name]
            if used[definition.name] <= own and not is_called_by_a_library(definition, inside):
                where = f"{path.relative_to(ROOT)}:{definition.lineno}"
                wrong.append(f"{where}: {inside and inside + '.'}{definition.name}")
    return wrong


def test_every_definition_is_reached():
    assert unreached() == []


def test_an_exported_name_alone_is_not_a_use():
    module = ast.parse("__all__ = ['f']\nfrom a import f\n")
    assert names_used(without_exports(module))["f"] == 0


def test_a_recursive_call_is_counted_as_its_own():
    definition = ast.parse("def f():\n    return f()\n").body[0]
    assert names_used(definition)["f"] == 1
