"""Engines are told the language of their agent, and what they cannot speak is known."""

import pytest

from gateway.config.engine_table import EngineTable
from gateway.providers import registry
from gateway.providers.localized import known_languages, localized, with_region

KEY = {"api_key": "k"}


def told(kind: registry.Kind, spoken: str, /, **table: object) -> dict[str, object]:
    given = EngineTable.model_validate(table)
    found = localized(kind, given, spoken)
    assert found.provider == given.provider
    return {key: value for key, value in found.rest().items() if key not in given.rest()}


@pytest.mark.parametrize("language", ["de", "de-AT", "DE"])
@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("stt", {"provider": "elevenlabs", **KEY}),
        ("stt", {"provider": "cartesia", **KEY}),
        ("stt", {"provider": "openai", **KEY}),
        ("stt", {"provider": "openai_http", "base_url": "http://127.0.0.1:9/v1"}),
        ("stt", {"provider": "deepgram", "model": "nova-3", **KEY}),
        ("stt", {"provider": "deepgram", "model": "flux-general-multi", **KEY}),
        ("tts", {"provider": "cartesia", "voice": "v", **KEY}),
        ("tts", {"provider": "elevenlabs", "voice": "v", **KEY}),
    ],
)
def test_a_vendor_gets_the_code(kind, table, language):
    assert told(kind, language, **table) == {"language": "de"}


def test_inworld_gets_a_region():
    assert told("stt", "de", provider="inworld", **KEY) == {"language": "de-DE"}
    assert told("stt", "de-CH", provider="inworld", **KEY) == {"language": "de-CH"}


def test_what_is_stated_stays():
    assert told("tts", "de", provider="cartesia", voice="v", language="fr", **KEY) == {}
    assert told("tts", "de", provider="espeak", voice="en-us") == {}
    assert told("stt", "de", provider="deepgram", model="flux-general-en", **KEY) == {}


def test_deepgrams_model_follows_the_language():
    found = {"model": "flux-general-multi", "language": "nl"}
    assert told("stt", "nl", provider="deepgram", **KEY) == found
    assert told("stt", "en", provider="deepgram", **KEY) == {}
    assert told("stt", "pl", provider="deepgram", **KEY) == {}  # `gateway check` refuses it


@pytest.mark.parametrize(
    ("language", "voice"),
    [("de", "de"), ("de-AT", "de"), ("es-MX", "es-419"), ("es-ES", "es"), ("pt-BR", "pt-br"),
     ("en-GB", "en"), ("fr-CA", "fr"), ("zh-CN", "cmn")],
)  # fmt: skip
def test_espeaks_voice_is_of_the_language(language, voice):
    assert told("tts", language, provider="espeak") == {"voice": voice}


def test_nothing_is_told_to_what_speaks_one_language():
    for table in ({"provider": "flite"}, {"provider": "hibari"}):
        assert told("tts", "de", **table) == {}
        assert known_languages("tts", EngineTable(**table)) == ("en",)


@pytest.mark.parametrize(
    ("model", "known"),
    [("aura-2-thalia-en", ("en",)), ("aura-2-viktoria-de", ("de",)), ("flux-x", ())],
)
def test_a_voice_of_deepgram_has_its_language_in_its_name(model, known):
    table = EngineTable(provider="deepgram", model=model, api_key="k")
    assert known_languages("tts", table) == known


def test_a_region_is_added_where_a_vendor_wants_one():
    assert [with_region(tag) for tag in ("de", "de-AT", "nl", "pl")] == [
        "de-DE", "de-AT", "nl-NL", "pl",
    ]  # fmt: skip
