"""The upstream's voice for each voice that a client asks for."""

import re

import pytest

from router.deepgram.blocks import Speak, SpeakProvider
from router.simulator.schema import VOICES
from router.translation.voices import BUILT_IN, Voices, voice_of


def speak(**provider):
    return Speak(provider=SpeakProvider(**provider))


def deepgram(model):
    return speak(type="deepgram", model=model)


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_that_the_upstream_has_is_itself(voice):
    assert voice_of(speak(type="open_ai", model="tts-1", voice=voice), Voices(default="sage")) == voice


@pytest.mark.parametrize(("voice", "nearest"), [("fable", "ballad"), ("nova", "coral"), ("onyx", "ash")])
def test_a_voice_of_the_speech_api_becomes_one_of_the_upstream_s(voice, nearest):
    assert voice_of(speak(type="open_ai", model="tts-1-hd", voice=voice), Voices(default="marin")) == nearest


@pytest.mark.parametrize(
    ("model", "voice"),
    [
        ("aura-asteria-en", "marin"),
        ("aura-zeus-en", "cedar"),
        ("aura-2-thalia-en", "marin"),
        ("aura-2-Orion-EN", "cedar"),
        ("aura-2-viktoria-de", "marin"),
        ("flux-kit-en", "cedar"),
        ("flux-haley-multi", "marin"),
    ],
)
def test_a_voice_of_deepgram_s_sounds_like_a_woman_or_a_man(model, voice):
    assert voice_of(deepgram(model), Voices(default="sage")) == voice


@pytest.mark.parametrize(
    "block",
    [
        Speak(),
        deepgram("aura-9-nobody-en"),
        speak(type="open_ai", voice="voice-of-tomorrow"),
        speak(type="eleven_labs", model_id="eleven_turbo_v2_5"),
        speak(type="cartesia", model_id="sonic-2", voice={"mode": "id", "id": "a167e0f3"}),
        speak(type="cartesia", model_id="sonic-2", voice={"mode": "id", "id": 5}),
        speak(type="aws_polly", voice="Joanna", engine="neural"),
    ],
)
def test_a_voice_that_no_table_has_is_the_default(block):
    assert voice_of(block, Voices(default="sage")) == "sage"


@pytest.mark.parametrize(
    ("key", "block"),
    [
        ("aura-2-thalia-en", deepgram("aura-2-thalia-en")),
        ("aura-*", deepgram("aura-2-thalia-en")),
        ("*", deepgram("aura-2-thalia-en")),
        ("*", Speak(provider=SpeakProvider(type="open_ai", voice="alloy"))),
        ("joanna", speak(type="aws_polly", voice="Joanna")),
        ("a167*", speak(type="cartesia", model_id="sonic-2", voice={"mode": "id", "id": "a167e0f3"})),
        ("sonic-*", speak(type="cartesia", model_id="sonic-2", voice={"mode": "id", "id": "a167e0f3"})),
        ("eleven_labs", speak(type="eleven_labs", model_id="eleven_turbo_v2_5")),
    ],
)
def test_the_configuration_s_table_wins_over_the_one_built_in(key, block):
    assert voice_of(block, Voices(default="marin", table={key: "Ara"})) == "Ara"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*", True),
        ("aura-2-thalia-*", True),
        ("*-en", True),
        ("aura-*-en", True),
        ("a*2*th*en", True),
        ("*thalia*", True),
        ("aura-2-thalia-en*", True),
        ("aura-*-de", False),
        ("*aura", False),
        ("aura-2-thalia*thalia-en", False),
        ("aura-?-thalia-*", False),
        ("aura-[2]-thalia-*", False),
    ],
)
def test_a_star_stands_for_anything_and_no_other_character_does(pattern, fits):
    assert voice_of(deepgram("aura-2-thalia-en"), Voices(default="marin", table={pattern: "Ara"})) == (
        "Ara" if fits else "marin"
    )


def test_an_exact_key_wins_over_a_pattern_and_a_longer_pattern_over_a_shorter_one():
    voices = Voices(default="marin", table={"*": "a", "aura-*": "b", "aura-2-*": "c", "aura-2-thalia-en": "d"})

    asked = ["flux-kit-en", "aura-zeus-en", "aura-2-zeus-en", "aura-2-thalia-en"]
    assert [voice_of(deepgram(model), voices) for model in asked] == ["a", "b", "c", "d"]


def test_a_voice_s_own_name_comes_before_its_model():
    voices = Voices(default="marin", table={"sonic-*": "ash", "a167": "echo"})

    assert voice_of(speak(type="cartesia", model_id="sonic-2", voice={"id": "a167"}), voices) == "echo"


def test_the_first_of_several_blocks_that_a_table_has_decides():
    blocks = [speak(type="eleven_labs", model_id="x"), deepgram("aura-2-zeus-en"), deepgram("aura-2-thalia-en")]

    assert voice_of(blocks, Voices(default="sage")) == "cedar"
    assert voice_of(blocks[:1], Voices(default="sage")) == "sage"
    assert voice_of([], Voices(default="sage")) == "sage"


def test_the_built_in_table_names_the_upstream_s_voices_and_no_other():
    assert set(BUILT_IN.values()) == set(VOICES)
    assert all(key == key.lower() for key in BUILT_IN)


def test_a_lookup_compiles_no_regular_expression():
    # Compiling 230 of them took 8 ms of the first call, on the dispatcher's thread.
    compiled = set(re._cache)
    assert (
        voice_of(deepgram("aura-2-thalia-en"), Voices(default="marin", table={"never-looked-up-before-*": "Ara"}))
        == "marin"
    )
    assert set(re._cache) == compiled
