"""`gateway settings`: have a call in progress go by other settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.cli.call import client
from gateway.config.models.table import nested
from gateway.errors import GatewayError
from gateway.setup.loader import load_config


def run(config_path: Path | None, call_id: str, changes: Sequence[str]) -> int:
    """Change settings of a call and print the keys of those that are different now.

    Args:
        config_path: of the running gateway.
        call_id: of the call.
        changes: `KEY=VALUE` each, with keys of `[agents.NAME]` such as `tts.rate`; a value is
            JSON, anything else is a text.

    Returns:
        0.

    Raises:
        GatewayError: no gateway is running there, or it refuses.
    """
    body = nested_changes(changes)
    answer = client(load_config(config_path).http)("POST", f"/v1/calls/{call_id}/settings", body)
    for key in answer["changed"] or ["nothing: the call goes by these settings already"]:
        sys.stdout.write(f"{key}\n")
    return 0


def nested_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Return the request's body.  Raises GatewayError: a change is no `KEY=VALUE`."""
    dotted: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (key.strip() and equals):
            raise GatewayError(f'a change is KEY=VALUE, such as tts.rate=0.8, not "{change}"')
        dotted[key.strip()] = _value(value.strip())
    try:
        return nested(dotted)
    except (AttributeError, TypeError) as error:
        raise GatewayError("a key cannot be a value and a table at once") from error


def _value(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError:
        return text
