"""Tests of the known fields: they are those of the wires' own descriptions."""

from __future__ import annotations

from router.deepgram import blocks
from router.deepgram.messages import CLIENT_MESSAGES
from router.openai.events import FORWARDED
from router.policy import known

NOT_OFFERED = {"UpdateThink_Live", "__customToThinkProvider"}


def test_deepgram_s_messages_and_blocks_have_the_fields_of_their_structs():
    assert set(known.MESSAGES) == set(CLIENT_MESSAGES) - NOT_OFFERED
    for name, tree in known.MESSAGES.items():
        assert set(tree) - {"type"} == set(CLIENT_MESSAGES[name].__struct_fields__)
    agent = known.MESSAGES["Settings"]["agent"]
    # Think Live is a service of its own, with a prompt of its own.
    assert set(agent) == set(blocks.Agent.__struct_fields__) - {"think_live"}
    for tree, struct in (
        (agent["think"], blocks.Think),
        (agent["think"]["provider"], blocks.ThinkProvider),
        (agent["think"]["functions"], blocks.Function),
        (agent["think"]["endpoint"], blocks.Endpoint),
        (agent["context"]["messages"], blocks.ContextMessage),
        (agent["speak"], blocks.Speak),
        (agent["speak"]["provider"], blocks.SpeakProvider),
        (agent["listen"]["provider"], blocks.ListenProvider),
    ):
        assert set(tree) == set(struct.__struct_fields__)


def test_every_event_that_a_client_may_send_is_known():
    assert set(known.EVENTS) >= FORWARDED


def test_the_first_unknown_field_is_named_and_a_long_name_is_cut():
    denied = known.unknown({"session": {"audio": {"Output": {}}}}, {"session": known.SESSION})
    assert denied.place == "session.audio.Output"
    assert len(known.unknown({"x" * 1000: 1}, {}).place) == 80
