"""A vendor's event is read field by field; what is wrong with it is named."""

import pytest

from gateway.providers.kit.fields import BrokenAudioError, Fields, StrangeEventError

EVENT = Fields({
    "text": "a", "whole": 3, "flag": True, "audio": "AAEC", "list": [{"x": 1}, {"x": 2}],
    "mixed": [{}, 5], "inner": {"text": "b"}, "broken": "%%", "none": None,
})  # fmt: skip


def test_fields_of_the_right_type():
    assert (EVENT.text("text"), EVENT.whole("whole"), EVENT.flag("flag")) == ("a", 3, True)
    assert EVENT.audio("audio") == b"\0\1\2"
    assert [each.whole("x") for each in EVENT.objects("list")] == [1, 2]
    assert EVENT.inner("inner").text("text") == "b"
    assert EVENT.listed("mixed") == [{}, 5]


def test_what_need_not_be_there():
    assert (EVENT.optional_text("no"), EVENT.flag("no"), EVENT.flag("no", default=True)) == (
        "", False, True,
    )  # fmt: skip
    assert EVENT.optional_text("whole") == ""
    assert EVENT.inner_or_none("none") is None
    assert EVENT.value("no") is None


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: EVENT.text("no"), "no is missing"),
        (lambda: EVENT.text("whole"), "whole is int, not a text"),
        (lambda: EVENT.whole("flag"), "flag is bool, not a whole number"),
        (lambda: EVENT.inner("list"), "list is list, not an object"),
        (lambda: EVENT.objects("mixed"), "mixed is list, not a list of objects"),
        (lambda: EVENT.inner("inner").whole("text"), r"inner\.text is str"),
    ],
)
def test_what_is_wrong_is_named(read, words):
    with pytest.raises(StrangeEventError, match=words):
        read()


def test_audio_that_cannot_be_decoded_is_another_matter():
    with pytest.raises(BrokenAudioError, match="broken is not Base64"):
        EVENT.audio("broken")
    with pytest.raises(BrokenAudioError):
        Fields({"audio": "AAE"}).audio("audio")
