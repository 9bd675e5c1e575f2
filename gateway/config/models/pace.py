"""How fast an engine speaks: which of its settings says that, and the next value of it.  Pure."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from gateway.config.engine_table import EngineTable

Pace = Literal["slower", "faster", "normal"]
_KEYS = ("speed", "rate", "words_per_minute")
"""What engines call it; the first two are factors."""
_STEPS: dict[Pace, float] = {"slower": 0.8, "faster": 1.25}


def pace_key(model: type[BaseModel]) -> str:
    """Return the setting of an engine's rate of speech; empty where it has none."""
    return next((key for key in _KEYS if key in model.model_fields), "")


def paced(table: EngineTable, configured: EngineTable, pace: Pace) -> dict[str, Any]:
    """Return what to change of an engine's table; empty where it has no such setting.

    Args:
        table: as it is now, checked.
        configured: as the configuration has it, checked.
        pace: wanted; a step is a fifth slower, or a quarter faster, within the engine's limits.
    """
    settings = table.settings
    key = pace_key(type(settings)) if settings is not None else ""
    if settings is None or not key:
        return {}
    if pace == "normal":
        return {key: getattr(configured.settings or settings, key)}
    low, high = _limits(type(settings), key)
    now = getattr(settings, key) or 1.0
    wanted = min(max(now * _STEPS[pace], low), high)
    return {key: round(wanted) if isinstance(now, int) else round(wanted, 2)}


def _limits(model: type[BaseModel], key: str) -> tuple[float, float]:
    schema = model.model_json_schema()["properties"][key]
    kinds = [schema, *schema.get("anyOf", [])]
    low = next((kind["minimum"] for kind in kinds if "minimum" in kind), 0.5)
    high = next((kind["maximum"] for kind in kinds if "maximum" in kind), 2.0)
    return low, high
