"""Every file in providers/vad keeps the contract of voice detectors."""

from __future__ import annotations

import importlib

import pytest

from gateway.errors import ProviderUnavailable
from gateway.providers import registry
from gateway.providers.vad import webrtcvad
from tests.support.detector_contract import DetectorContract, chunks_of
from tests.support.provider_contract import Subject
from tests.support.speech import speak


class TestDetectors(DetectorContract):
    @pytest.fixture(params=[info.name for info in registry.available("vad")])
    def provider(self, request: pytest.FixtureRequest) -> Subject:
        if hint := registry.load("vad", request.param).probe():
            pytest.skip(hint)
        return Subject("vad", request.param)


def test_webrtcvad_is_never_so_sure_that_noise_is_not_looked_at():
    if hint := webrtcvad.probe():
        pytest.skip(hint)
    chunks = chunks_of(webrtcvad.WebRtc().open(), speak("Hello there.", "awb"))
    assert 0.5 < max(chunk.probability for chunk in chunks) < 0.8


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert "pip install webrtcvad-wheels" in webrtcvad.probe()
    with pytest.raises(ProviderUnavailable, match="webrtcvad-wheels"):
        webrtcvad.WebRtc().open()
