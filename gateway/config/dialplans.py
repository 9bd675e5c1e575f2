"""Models of dialplans/*.toml: context, extension, condition, step.  No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.models import Table

Items = TypeVar("Items", bound=Sized)

_PLACEHOLDER = re.compile(r"\{([^{}\s]+)\}")


def placeholders(text: str) -> list[str]:
    """List the names in braces of a text, such as `called` or `collected.pin`."""
    return _PLACEHOLDER.findall(text)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values into the placeholders of a text; an unknown one is left as it is."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return pattern


def _not_empty(items: Items) -> Items:
    # Not Field(min_length=...): that counts only valid items and would complain twice.
    if not items:
        raise ValueError("must not be empty")
    return items


def _short(key: str) -> BeforeValidator:
    """Allow a plain string where a table has one key that matters most."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _target(value: object) -> object:
    if not isinstance(value, str):
        return value
    context, slash, extension = value.rpartition("/")
    return {"context": context, "extension": extension} if slash else {"extension": extension}


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Text = Annotated[str, Field(min_length=1)]
Regex = Annotated[str, Field(min_length=1), AfterValidator(_regex)]
OneOrMore = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]


class Jump(Table):
    """Where to go on: `"extension"`, `"context/extension"` or a table with both."""

    extension: Name
    context: Name | None = None
    """None = the context of the extension that jumps."""


Target = Annotated[Jump, BeforeValidator(_target)]


class Answer(Table):
    """Accept the call.  Steps that need audio do it themselves where it is missing."""


class Say(Table):
    """Speak a text or play a recording; `say = "text"` for short."""

    text: Text | None = None
    file: Path | None = None
    """Mono WAV file, relative to the dialplan file."""
    agent: str = ""
    """The agent whose voice speaks; empty = the default agent's."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.text is None) == (self.file is None):
            raise ValueError("needs either text or file")
        return self


class Talk(Table):
    """Let an agent talk with the caller until it is done; `talk = "agent"` for short."""

    agent: Text


class Collect(Table):
    """Ask for keys.  The prompt ends with the first key; what was pressed is `into`'s value.

    Nothing within `timeout_s`, or too few keys, is asked again `tries - 1` times; after that the
    value is empty and the next step runs.
    """

    into: Name = "digits"
    """Name for `branch` and for `{collected.NAME}`."""
    digits: Annotated[int, Field(ge=1, le=32)] = 32
    """Largest number of keys; input is complete with the last of them."""
    min_digits: Annotated[int, Field(ge=1, le=32)] = 1
    terminator: Annotated[str, Field(pattern=r"^[0-9*#]?$")] = "#"
    """Key that completes the input early and is not part of it; empty = none."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """To the first key, from the end of the prompt."""
    digit_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """Between keys."""
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    prompt: str = ""
    prompt_file: Path | None = None
    """Mono WAV file, in place of `prompt`."""
    retry_prompt: str = ""
    """Before every try but the first; empty = the prompt again."""
    agent: str = ""
    """The agent whose voice speaks; empty = the default agent's."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.prompt and self.prompt_file:
            raise ValueError("needs prompt or prompt_file, not both")
        if self.min_digits > self.digits:
            raise ValueError("min_digits must not be greater than digits")
        return self


class Transfer(Table):
    """Send the caller elsewhere (REFER); `transfer = "sip:..."` for short.

    When it is refused, the next step runs.
    """

    target: Text
    announce: str = ""
    """Spoken before."""
    timeout_s: Annotated[float, Field(ge=1, le=300)] | None = None
    """Seconds without an outcome after which it has failed; none = the agent's `transfer`."""
    agent: str = ""
    """The agent whose voice speaks; empty = the default agent's."""


class HangUp(Table):
    """End the call: refuse it with `status` when it is not answered yet, else BYE."""

    status: Annotated[int, Field(ge=400, le=699)] = 603
    reason: Annotated[str, Field(pattern=r"^[^\r\n]*$")] = ""


class Branch(Table):
    """Jump by what was collected; without a fitting case or a default the next step runs."""

    on: Name = "digits"
    """`into` of a `collect` before."""
    cases: Annotated[dict[str, Target], AfterValidator(_not_empty)]
    default: Target | None = None


Action = Answer | Say | Talk | Collect | Transfer | HangUp | Jump | Branch


class Step(Table):
    """A table with exactly one key, which says what to do."""

    answer: Answer | None = None
    say: Annotated[Say, _short("text")] | None = None
    talk: Annotated[Talk, _short("agent")] | None = None
    collect: Collect | None = None
    transfer: Annotated[Transfer, _short("target")] | None = None
    hang_up: HangUp | None = None
    goto: Target | None = None
    branch: Branch | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            here = ", ".join(sorted(self.model_fields_set)) or "none"
            raise ValueError(f"a step has exactly one key, here: {here}")
        return self

    @property
    def name(self) -> str:
        """The key."""
        return next(iter(self.model_fields_set))

    @property
    def action(self) -> Action:
        """The value of the key."""
        action: Action = getattr(self, self.name)
        return action


class Extension(Table):
    """A rule: conditions, all of which must hold, and what to do then."""

    name: Name
    jump_only: bool = False
    """Reached by `goto` and `branch` alone: no call enters here, whatever number it dials."""
    called: OneOrMore | None = None
    """Exactly this number, or one of these."""
    called_prefix: Text | None = None
    called_regex: Regex | None = None
    """Must match the whole number."""
    caller: OneOrMore | None = None
    caller_prefix: Text | None = None
    caller_regex: Regex | None = None
    trunk: str | None = None
    """Name of the trunk; empty = calls that came over none."""
    headers: dict[str, str] = Field(default_factory=dict)
    """SIP header = exact value."""
    headers_regex: dict[str, Regex] = Field(default_factory=dict)
    steps: Annotated[tuple[Step, ...], AfterValidator(_not_empty)]

    @model_validator(mode="after")
    def _one_condition_each(self) -> Self:
        for side in ("called", "caller"):
            keys = [side, f"{side}_prefix", f"{side}_regex"]
            given = [key for key in keys if getattr(self, key) is not None]
            if len(given) > 1:
                raise ValueError(f"{' and '.join(given)} cannot go together")
        others = {"name", "steps", "jump_only"}
        if self.jump_only and (conditions := sorted(self.model_fields_set - others)):
            raise ValueError(f"jump_only and {' and '.join(conditions)} cannot go together")
        return self


class Context(Table):
    """A named set of extensions."""

    include: tuple[Name, ...] = ()
    """Contexts that are searched, in order, when nothing here takes the call."""
    extensions: tuple[Extension, ...] = ()


class DialplanFile(Table):
    """One file of the dialplan folder."""

    contexts: dict[Name, Context] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialplan:
    """All contexts of all files; every reference in it has been checked."""

    default_agent: str
    """Takes the calls that no extension takes."""
    contexts: Mapping[str, Context] = field(default_factory=dict)
    trunk_contexts: Mapping[str, str] = field(default_factory=dict)
    """Trunk name -> the context of its incoming calls; others enter `default`."""
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(context, extension) -> `file:line`."""
