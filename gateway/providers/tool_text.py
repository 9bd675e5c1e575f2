"""Tool calls that a model wrote as text, because its server has no parser for them.  Pure.

The formats of the field: JSON objects (Hermes, Llama, Mistral), a name before an object (Mistral,
Kimi, DeepSeek, harmony), XML (Qwen coder, GLM, MiniMax), Python (Llama 4, LFM, Gemma).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence

Call = tuple[str, str]
"""Name of a known tool, and its arguments as a JSON object."""

_NAME_KEYS = ("name", "tool_name", "tool", "function_name", "function", "recipient_name", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input", "tool_input", "kwargs")
_XML_CALL = re.compile(
    r"<(?P<tag>function|invoke|tool)(?:=|\s+name\s*=\s*)[\"']?(?P<name>[\w.:-]+)[\"']?\s*>"
    r"(?P<body>.*?)(?:</(?P=tag)>|(?=<(?:function|invoke|tool)[=\s])|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_XML_VALUE = re.compile(
    r"<parameter(?:=|\s+name\s*=\s*)[\"']?(?P<key>\w+)[\"']?[^>]*>\s?(?P<value>.*?)\s?"
    r"(?:</parameter>|(?=<parameter)|\Z)"
    r"|<arg_key>\s*(?P<glm_key>\w+)\s*</arg_key>\s*<arg_value>(?P<glm_value>.*?)</arg_value>",
    re.DOTALL | re.IGNORECASE,
)
_GEMMA_CALL = re.compile(r"call:(?P<name>[\w.]+)\s*(?P<body>\{.*?\})\s*(?:<|\Z)", re.DOTALL)
_GEMMA_QUOTE = re.compile(r"<escape>|<\|\"\|>")
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)\s*:")
_SPECIAL = re.compile(r"<\|[^<>]*\|?>?.*|[<>\[(].*", re.DOTALL)


def known_name(written: str, tools: Sequence[str]) -> str | None:
    """Find the tool that is meant: tokens may stand around its name, a space before it."""
    if written in tools:
        return written
    plain = _SPECIAL.sub("", written.removeprefix("<|tool_call|>")).strip(" \t\n\"'`:.")
    for candidate in (plain, plain.rpartition(".")[2], plain.partition(":")[0].rpartition(".")[2]):
        for tool in tools:
            if candidate.casefold() == tool.casefold():
                return tool
    found = [tool for tool in tools if re.search(rf"(?<!\w){re.escape(tool)}(?!\w)", written)]
    return max(found, key=len) if found else None


def object_of(arguments: object) -> dict[str, object] | None:
    """Read arguments however they were written; None when they are no object.

    An object, JSON, JSON within JSON, several objects of which the last counts, Python, JSON in a
    fence or with tokens behind; nothing at all and `null` are an empty object.
    """
    if isinstance(arguments, Mapping):
        return {str(key): value for key, value in arguments.items()}
    if arguments is None:
        return {}
    return _object_of_text(arguments) if isinstance(arguments, str) else None


def _object_of_text(arguments: str) -> dict[str, object] | None:
    text = re.sub(r"^\s*```\w*\s*|\s*```\s*$", "", arguments).strip()
    if text.lower() in {"", "null", "none", "undefined"}:
        return {}
    if text.startswith('"'):
        try:
            return object_of(json.loads(text))
        except (ValueError, RecursionError):
            return None
    objects = [value for value, _, _ in _objects_in(text)] if text.startswith("{") else []
    full = [value for value in objects if value]
    found = full or objects
    return found[-1] if found else None


def calls_in(text: str, tools: Sequence[str]) -> list[Call]:
    """Read the calls of known tools out of a text, in whatever format they are."""
    for read in (_in_xml, _in_glm, _in_gemma, _in_json, _in_python):
        found = list(dict.fromkeys(read(text, tools)))
        if found:
            return found
    return []


def _in_xml(text: str, tools: Sequence[str]) -> Iterator[Call]:
    for found in _XML_CALL.finditer(text):
        name = known_name(found["name"], tools)
        values = _xml_values(found["body"])
        arguments = values or object_of(found["body"].strip())
        if name and arguments is not None:
            yield name, json.dumps(arguments)


def _in_glm(text: str, tools: Sequence[str]) -> Iterator[Call]:
    """`<tool_call>NAME <arg_key>...`: the name stands before the first key."""
    if "<arg_key>" not in text:
        return
    for part in re.split(r"<tool_call>", text):
        name = known_name(part.partition("<arg_key>")[0].strip(), tools)
        if name:
            yield name, json.dumps(_xml_values(part))


def _xml_values(text: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for found in _XML_VALUE.finditer(text):
        value = found["value"] if found["key"] else found["glm_value"].strip()
        values[found["key"] or found["glm_key"]] = _inner(value)
    return values


def _inner(value: str) -> object:
    """Parse what is structured; the rest stays text, which the tool's types are applied to."""
    if value.startswith(("{", "[")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _in_gemma(text: str, tools: Sequence[str]) -> Iterator[Call]:
    for found in _GEMMA_CALL.finditer(text):
        name = known_name(found["name"], tools)
        body = _BARE_KEY.sub(r'\1"\2":', _GEMMA_QUOTE.sub('"', found["body"]))
        arguments = object_of(body)
        if name and arguments is not None:
            yield name, json.dumps(arguments)


def _in_json(text: str, tools: Sequence[str]) -> Iterator[Call]:
    end = 0
    for value, start, stop in _objects_in(text):
        before, end = text[end:start], stop
        inside = list(_of_object(value, tools))
        if inside:
            yield from inside
            continue
        name = known_name(_last_word(before), tools) or known_name(before, tools)
        if name:
            yield name, json.dumps(value)


def _last_word(text: str) -> str:
    words = re.findall(r"[\w.:-]+", re.sub(r"\b(?:json|code|function|args)\b|ARGS", " ", text))
    return words[-1] if words else ""


def _of_object(value: Mapping[str, object], tools: Sequence[str]) -> Iterator[Call]:
    """Read `{"name": ..., "arguments": ...}` and its relatives."""
    for key in ("tool_calls", "tool_uses", "function_call", "calls"):
        inner = value.get(key)
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, Mapping):
                yield from _of_object(each, tools)
    function = value.get("function")
    if isinstance(function, Mapping):
        yield from _of_object(function, tools)
        return
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if isinstance(name, str) and (tool := known_name(name, tools)):
        given = next((value[key] for key in _ARGUMENT_KEYS if key in value), {})
        arguments = object_of(given)
        if arguments is not None:
            yield tool, json.dumps(arguments)
    elif len(value) == 1:
        key, inner = next(iter(value.items()))
        if key in tools and isinstance(inner, Mapping):
            yield key, json.dumps(inner)


def _objects_in(text: str) -> Iterator[tuple[dict[str, object], int, int]]:
    """Find the outermost objects of a text, with their places."""
    position = 0
    while (start := text.find("{", position)) >= 0:
        value, end = _object_at(text, start)
        if value is None:
            position = start + 1
        else:
            yield value, start, end
            position = end


def _object_at(text: str, start: int) -> tuple[dict[str, object] | None, int]:
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    else:
        return (value if isinstance(value, dict) else None), end
    end = _balanced(text, start, "{}")
    body = text[start:end]
    if body.rstrip().endswith(('"', "'", "]", "}")):  # a number may go on: 1 of 100
        body += "}" * (body.count("{") - body.count("}"))
    for parse in (_as_json, _as_python):
        found = parse(body)
        if found is not None:
            return found, end
    return None, start


def _as_json(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _as_python(text: str) -> dict[str, object] | None:
    try:
        value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, dict) else None


def _balanced(text: str, start: int, brackets: str) -> int:
    """Return the end of what opens at `start`; the text's end where it never closes."""
    depth, quote, position = 0, "", start
    while position < len(text):
        character = text[position]
        if quote:
            position += character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == brackets[0]:
            depth += 1
        elif character == brackets[1]:
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return len(text)


def _in_python(text: str, tools: Sequence[str]) -> Iterator[Call]:
    """Read `NAME(day="saturday")`, with whatever modules before the name."""
    for tool in tools:
        for found in re.finditer(rf"(?<!\w){re.escape(tool)}(?:\.call)?\s*\(", text):
            end = _balanced(text, found.end() - 1, "()")
            arguments = _keywords(f"f{text[found.end() - 1 : end]}")
            if arguments is not None:
                yield tool, json.dumps(arguments)


def _keywords(call: str) -> dict[str, object] | None:
    try:
        parsed = ast.parse(call, mode="eval").body
        if not isinstance(parsed, ast.Call):
            return None
        if len(parsed.args) == 1 and not parsed.keywords:
            value = ast.literal_eval(parsed.args[0])
            return value if isinstance(value, dict) else None
        if parsed.args:
            return None
        found = {str(k.arg): ast.literal_eval(k.value) for k in parsed.keywords}
        json.dumps(found)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return found
