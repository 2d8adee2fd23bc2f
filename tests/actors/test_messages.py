"""The messages of a session: immutable, and each handled or performed by the translator."""

from typing import get_args

import msgspec
import pytest

from actors import messages
from actors.messages import Message
from actors.translator import INPUTS, TranslatorActor

COMMANDS = frozenset(get_args(messages.Command))

KINDS = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_is_immutable(kind):
    assert kind.__struct_config__.frozen


def test_every_message_is_an_input_a_command_or_a_part_of_one():
    assert set(KINDS) == INPUTS | COMMANDS | {messages.WorkFailure, messages.LateReport}
    assert not INPUTS & COMMANDS


def test_every_input_has_a_handler_and_every_command_a_performer():
    assert set(TranslatorActor.receives) >= INPUTS
    assert set(TranslatorActor._performs) == COMMANDS


def test_a_field_of_a_message_cannot_be_set():
    with pytest.raises(AttributeError):
        messages.TimerFired("t").name = "u"
    assert msgspec.structs.asdict(messages.TimerFired("t")) == {"name": "t"}
