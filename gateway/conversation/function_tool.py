"""A Python function as a tool: found by its reference, described by its signature and docstring."""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from gateway.call.line import CallFacts
from gateway.errors import BadReference, ToolError
from gateway.providers.contracts import ToolSpec
from gateway.references import load_function

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = "__gateway_tool__"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what OpenAI accepts as the name of a function


@dataclass(frozen=True, slots=True)
class CallContext:
    """The call in which a tool runs; a tool whose first parameter has this type receives it."""

    call_id: str
    caller: str
    called: str
    agent: str
    trunk: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """SIP headers of the INVITE, lower-case names: the caller writes them."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the request that placed the call."""
    voice: Mapping[str, str] = field(default_factory=dict)
    """What is known of the caller's voice by now, where the agent has `profile`."""

    @classmethod
    def of(
        cls, facts: CallFacts, agent: str, voice: Mapping[str, str] = MappingProxyType({})
    ) -> CallContext:
        """Say it of a call that an agent has taken; `voice` grows with the call."""
        return cls(
            facts.call_id, facts.caller, facts.called, agent, facts.trunk, facts.headers,
            facts.variables, voice,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Options:
    side_effects: bool
    timeout_s: float | None


def tool(*, side_effects: bool = True, timeout_s: float | None = None) -> Callable[[F], F]:
    """Say more about a function tool than its signature can; the decorator is optional.

    Args:
        side_effects: False = it only reads, so it may run for a reply that is never spoken.
        timeout_s: its own time limit; None = the agent's `tool_timeout_s`.
    """

    def mark(function: F) -> F:
        setattr(function, _OPTIONS, _Options(side_effects, timeout_s))
        return function

    return mark


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that a model may call."""

    spec: ToolSpec
    function: Callable[..., Any]
    arguments: type[BaseModel]
    """Validates the model's arguments; each field's alias is the parameter's name."""
    is_async: bool
    takes_context: bool
    side_effects: bool = True
    timeout_s: float | None = None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> FunctionTool:
        """Read name, description and parameters off a function.

        The first paragraph of the docstring is the description, its Google-style `Args:` describe
        the parameters.

        Raises:
            ToolError: a parameter has no type, or one that JSON cannot express.
        """
        name = getattr(function, "__name__", type(function).__name__)
        if not _NAME.fullmatch(name):
            raise ToolError(name, "a tool's name may have letters a-z, digits, _ and - only")
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise ToolError(name, "a generator cannot be a tool: return the result instead")
        takes_context, parameters = _parameters(name, function)
        description, of_parameters = _read_docstring(inspect.getdoc(function) or "")
        arguments = _arguments_model(name, parameters, of_parameters)
        options = getattr(function, _OPTIONS, _Options(side_effects=True, timeout_s=None))
        return cls(
            ToolSpec(name, description, _schema(name, arguments)),
            function,
            arguments,
            inspect.iscoroutinefunction(function),
            takes_context,
            options.side_effects,
            options.timeout_s,
        )

    def bind(self, arguments_json: str) -> dict[str, Any]:
        """Validate a JSON object of arguments into keyword arguments.

        Raises:
            pydantic.ValidationError: it is no JSON, no object, or does not fit the parameters.
        """
        try:
            valid = self.arguments.model_validate_json(arguments_json.strip() or "{}")
        except ValidationError as error:
            valid = self._mended(arguments_json, error)
        fields = type(valid).model_fields
        return {str(fields[key].alias): getattr(valid, key) for key in valid.model_fields_set}

    def _mended(self, arguments_json: str, error: ValidationError) -> BaseModel:
        """Try again with what models write where they mean nothing, or JSON within a string."""
        given = json.loads(arguments_json) if _is_object(arguments_json) else None
        if not isinstance(given, dict):
            raise error
        required = {str(f.alias) for f in self.arguments.model_fields.values() if f.is_required()}
        for fault in error.errors(include_url=False, include_context=False):
            name, value = str(fault["loc"][0] if fault["loc"] else ""), fault["input"]
            if value is None and name in given and name not in required:
                del given[name]
            elif len(fault["loc"]) == 1 and isinstance(value, str) and _is_structured(value):
                given[name] = json.loads(value)
        return self.arguments.model_validate_json(json.dumps(given))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_structured(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def load_tool(reference: str, base_dir: Path) -> FunctionTool:
    """Load `package.module:function` or `path/to/file.py:function`.

    Args:
        reference: as in the agent's `tools`.
        base_dir: the config file's folder; paths are relative to it and modules are looked for
            there too, after everything that is installed.

    Raises:
        ToolError: nothing there, not callable, not typed, or the import itself failed.
    """
    try:
        return FunctionTool.of(load_function(reference, base_dir))
    except BadReference as error:
        raise ToolError(reference, error.problem) from error


def _parameters(
    name: str, function: Callable[..., Any]
) -> tuple[bool, list[tuple[inspect.Parameter, Any]]]:
    """Return whether the call's context comes first, and the other parameters with their types."""
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError) as exc:
        raise ToolError(name, f"its signature cannot be read: {exc}") from exc
    parameters = list(signature.parameters.values())
    takes_context = bool(parameters) and hints.get(parameters[0].name) is CallContext
    typed = []
    for parameter in parameters[1:] if takes_context else parameters:
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise ToolError(name, f"parameter {parameter} cannot be given by name")
        if parameter.name not in hints:
            raise ToolError(name, f"parameter {parameter.name!r} has no type")
        typed.append((parameter, hints[parameter.name]))
    return takes_context, typed


def _arguments_model(
    name: str, parameters: list[tuple[inspect.Parameter, Any]], descriptions: dict[str, str]
) -> type[BaseModel]:
    # The fields are numbered because a parameter may be called like a method of BaseModel.
    fields: dict[str, Any] = {
        f"p{number}": (annotation, _field(parameter, descriptions.get(parameter.name)))
        for number, (parameter, annotation) in enumerate(parameters)
    }
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except PydanticUserError as exc:
        raise ToolError(name, f"a parameter's type is not usable: {_short(exc)}") from exc


def _field(parameter: inspect.Parameter, description: str | None) -> FieldInfo:
    default = ... if parameter.default is parameter.empty else parameter.default
    if description is None:
        return typing.cast("FieldInfo", Field(default, alias=parameter.name))
    return typing.cast("FieldInfo", Field(default, alias=parameter.name, description=description))


class _PlainSchema(GenerateJsonSchema):
    """JSON schema without the titles that pydantic makes up: they cost tokens and say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401  # pydantic's type is private
        """Never."""
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> dict[str, Any]:  # noqa: ANN401
        """Drop the models' own titles too."""
        made = super().generate(schema, mode)
        for each in (made, *made.get("$defs", {}).values()):
            each.pop("title", None)
        return made


def _schema(name: str, arguments: type[BaseModel]) -> dict[str, object]:
    try:
        return arguments.model_json_schema(by_alias=True, schema_generator=_PlainSchema)
    except PydanticUserError as exc:
        raise ToolError(name, f"JSON cannot express a parameter: {_short(exc)}") from exc


def _short(error: PydanticUserError) -> str:
    """Pydantic's first sentence; the rest is advice on pydantic."""
    return error.message.split("\n", 1)[0].split(". ", 1)[0]


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return the first paragraph and the descriptions under `Args:`."""
    first = text.split("\n\n", 1)[0]
    return " ".join(first.split()), dict(_described_parameters(text.splitlines()))


def _described_parameters(lines: list[str]) -> Iterator[tuple[str, str]]:
    headings = [n for n, line in enumerate(lines) if line.strip() in {"Args:", "Arguments:"}]
    if not headings:
        return
    name, words, indent = "", [""], 0
    for line in lines[headings[0] + 1 :]:
        if line.strip() and not line.startswith(" "):
            break
        depth = len(line) - len(line.lstrip())
        entry = re.match(r"\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)", line)
        if entry and (not name or depth <= indent):
            if name:
                yield name, " ".join(words).strip()
            name, words, indent = entry[1], [entry[2]], depth
        elif name:
            words.append(line.strip())
    if name:
        yield name, " ".join(words).strip()
