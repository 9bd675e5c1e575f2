"""The `/docs` page: the OpenAPI description as plain HTML, nothing loaded from elsewhere.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
section{border:1px solid #ccc;border-radius:6px;margin:1rem 0;padding:.2rem 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4;border-radius:4px}
code{padding:.1rem .3rem}pre{padding:.6rem;overflow:auto}
.get{color:#06603a}.post{color:#8a3b00}table{border-collapse:collapse}
td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}
"""


def docs_page(openapi: Schema, base_url: str) -> str:
    """Render an OpenAPI 3 description.

    Args:
        openapi: as FastAPI makes it; `$ref` into `components.schemas` are followed.
        base_url: where the examples send their requests, e.g. `http://127.0.0.1:8080`.
    """
    info = openapi["info"]
    title = escape(f"{info['title']} {info['version']}")
    body = "".join(_operations(openapi, base_url)) + "".join(_schemas(openapi))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><p>{_prose(info.get('description', ''))}</p>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{body}</body></html>'
    )


def _operations(openapi: Schema, base_url: str) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            body = _body_schema(openapi, operation)
            yield (
                f'<section><h2 class="{method}">{method.upper()} <code>{escape(path)}</code></h2>'
                f"<p>{_prose(operation.get('description', ''))}</p>"
                f"{_parameters(operation)}{_fields(body)}{_answers(operation)}"
                f"<pre>{escape(_curl(method, base_url + path, body))}</pre></section>"
            )


def _schemas(openapi: Schema) -> Iterator[str]:
    for name, schema in openapi.get("components", {}).get("schemas", {}).items():
        fields = _fields(schema)
        if fields:
            yield f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{fields}</section>'


def _body_schema(openapi: Schema, operation: Schema) -> Schema | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    found: Schema = openapi["components"]["schemas"][name] if name else content["schema"]
    return found


def _parameters(operation: Schema) -> str:
    return _table(
        (item["name"], item["in"], item.get("description", ""))
        for item in operation.get("parameters", ())
    )


def _fields(schema: Schema | None) -> str:
    if schema is None:
        return ""
    required = schema.get("required", ())
    return _table(
        (name, _type(field) + (", required" if name in required else ""), _about(field))
        for name, field in schema.get("properties", {}).items()
    )


def _answers(operation: Schema) -> str:
    return _table(
        (status, answer.get("description", ""), "")
        for status, answer in operation["responses"].items()
    )


def _table(rows: Iterator[tuple[str, str, str]]) -> str:
    lines = [
        f"<tr><th><code>{escape(name)}</code></th><td>{escape(what)}</td><td>{_prose(about)}</td></tr>"
        for name, what, about in rows
    ]
    return f"<table>{''.join(lines)}</table>" if lines else ""


def _type(field: Schema) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("format") or field.get("const") or field.get("type", "any"))


def _about(field: Schema) -> str:
    parts = [str(field.get("description", ""))]
    if field.get("default") not in (None, "", []):
        parts.append(f"default `{field['default']}`")
    return ", ".join(part for part in parts if part)


def _curl(method: str, url: str, body: Schema | None) -> str:
    command = f"curl -X {method.upper()} {url}"
    if body is None:
        return command if method != "get" else command.replace("-X GET ", "")
    properties = body.get("properties", {}).items()
    example = {name: field["examples"][0] for name, field in properties if "examples" in field}
    return f"{command} -H 'Content-Type: application/json' -d '{json.dumps(example)}'"


def _prose(text: str) -> str:
    """Escape; keep the two marks of our own texts, **bold** and `code`."""
    parts = escape(text, quote=False).split("`")
    code = "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
    bold = code.split("**")
    return "".join(f"<b>{part}</b>" if i % 2 else part for i, part in enumerate(bold))
