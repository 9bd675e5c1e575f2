"""Names in the configuration become providers, or an error that says what to write instead."""

from importlib.metadata import EntryPoint
from types import ModuleType
from typing import get_args

import pytest
from pydantic import ValidationError

from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.providers.contracts import ProviderSettings
from gateway.providers.registry import Kind, available, create, load


class Settings(ProviderSettings):
    voice: str = "anna"


def plug_in_module(hint: str = "") -> ModuleType:
    module = ModuleType("acme_speech")
    vars(module).update(
        SUMMARY="Acme voices.",
        Settings=Settings,
        create=lambda s: ("acme", s),
        probe=lambda: hint,
    )
    return module


class FakeEntryPoint(EntryPoint):
    target: object = None

    def load(self) -> object:
        if isinstance(self.target, Exception):
            raise self.target
        return self.target


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    def place(target: object) -> None:
        kind = type("Installed", (FakeEntryPoint,), {"target": target})
        plug_in = kind("acme", "acme_speech", "gateway.tts")
        monkeypatch.setattr(
            registry, "entry_points", lambda group: [plug_in] if group == plug_in.group else []
        )

    return place


def test_a_provider_file_is_found_by_its_name():
    assert load("tts", "flite").__name__ == "gateway.providers.tts.flite"


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_listed_provider_has_a_summary_or_a_hint(kind: Kind):
    for info in available(kind):
        assert info.kind == kind
        assert info.summary or info.hint
        assert info.available == (not info.hint)


def test_listing_is_sorted():
    names = [info.name for info in available("tts")]
    assert names == sorted(names)
    assert {"espeak", "flite", "pyttsx3"} <= set(names)


def test_a_misspelt_name_is_answered_with_the_nearest_one():
    with pytest.raises(ProviderUnavailable, match=r'did you mean "flite".*known: .*espeak'):
        load("tts", "flit")


@pytest.mark.parametrize("name", ["", "no/such", "os.path", "..", "__init__", "_private"])
def test_a_name_is_not_a_way_to_other_modules(name: str):
    with pytest.raises(ProviderUnavailable, match="known:"):
        load("tts", name)


@pytest.mark.parametrize("table", [{}, {"provider": ""}, {"provider": 3}, {"voice": "rms"}])
def test_a_table_that_names_no_provider_is_refused(table: dict[str, object]):
    with pytest.raises(ProviderUnavailable, match="no provider is named"):
        create("tts", table)


def test_an_unknown_setting_reaches_the_caller_as_pydantic_said_it():
    with pytest.raises(ValidationError) as caught:
        create("tts", {"provider": "flite", "voise": "rms"})
    assert caught.value.errors()[0]["loc"] == ("voise",)


def test_create_leaves_the_table_as_it_was():
    table = {"provider": "flite", "voise": "rms"}
    with pytest.raises(ValidationError):
        create("tts", table)
    assert table == {"provider": "flite", "voise": "rms"}


def test_an_entry_point_is_a_provider_too(install):
    install(plug_in_module())
    assert create("tts", {"provider": "acme", "voice": "bob"}) == (
        "acme",
        Settings(voice="bob"),
    )
    info = {info.name: info for info in available("tts")}["acme"]
    assert (info.summary, info.available) == ("Acme voices.", True)


def test_what_an_entry_point_misses_is_told(install):
    install(plug_in_module(hint="pip install acme"))
    info = {info.name: info for info in available("tts")}["acme"]
    assert (info.available, info.hint) == (False, "pip install acme")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (ModuleNotFoundError("No module named 'acme'"), "cannot be imported: No module named"),
        (AttributeError("no attribute 'x'"), "cannot be imported"),
        (Settings, "must name a module"),
    ],
)
def test_a_broken_entry_point_is_listed_and_not_fatal(install, target: object, said: str):
    install(target)
    with pytest.raises(ProviderUnavailable, match=said):
        load("tts", "acme")
    info = {info.name: info for info in available("tts")}["acme"]
    assert not info.available
    assert said.split(":", maxsplit=1)[0] in info.hint
