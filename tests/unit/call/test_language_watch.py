"""A call goes on in the caller's language once there is no doubt which it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.language_watch import LanguageWatch

KNOWN = ("de", "en-US", "fr")


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ([("en", "hello there my", False)], ["en-US"]),
        ([("en", "hello there", False)], [None]),
        ([("en", "hello there", True)], ["en-US"]),
        ([("en", "okay", True)], [None]),
        ([("en", "okay", True), ("en", "stop", True)], [None, "en-US"]),
        ([("en", "okay", True), ("de", "ja", True), ("en", "stop", True)], [None, None, None]),
        ([("en", "okay", True), ("fr", "oui", True)], [None, None]),
        ([("de", "ich hätte gern einen Tisch", True)], [None]),
        ([("ja", "moshi moshi desu ne", True)], [None]),
        ([("", "hello there my friend", True)], [None]),
        ([("en", "hello there my", False), ("en", "hello there my friend", True)], ["en-US", None]),
        ([("en", "", True), ("en", "", True)], [None, None]),
    ],
)
def test_what_is_enough(heard, found):
    watch = LanguageWatch(KNOWN, "de")
    assert [watch.heard(lang, text, is_final=final) for lang, text, final in heard] == found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "de", "en", "fr", "xx"]),
            st.sampled_from(["", "one", "one two", "one two three"]),
            st.booleans(),
        )
    )
)
def test_it_never_asks_for_the_language_that_is_spoken(heard):
    watch, current = LanguageWatch(KNOWN, "de"), "de"
    for language, text, is_final in heard:
        found = watch.heard(language, text, is_final=is_final)
        assert found != current
        if found is not None:
            assert found in KNOWN
            assert found.startswith(language)
            current = found
