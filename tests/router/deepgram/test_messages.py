"""The messages, compared with Deepgram's SDK: each field that it sends has a place, each message to it is known."""

import inspect
import types
import typing
import warnings

import msgspec
import pytest
from pydantic import BaseModel

from router.deepgram import codec
from router.deepgram.messages import CLIENT_MESSAGES, ConversationText, ServerMessage

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports websockets.legacy
    from deepgram.agent.v1.socket_client import V1SocketClient, V1SocketClientResponse
    from deepgram.agent.v1.types import AgentV1ConversationText, AgentV1SettingsAgent


def sent_models():
    """Yield the models that the SDK's client sends."""
    for name, method in inspect.getmembers(V1SocketClient, inspect.isfunction):
        if name.startswith("send_"):
            yield from models_in(inspect.signature(method).parameters["message"].annotation)


def models_in(annotation):
    """Yield the models that a field may hold."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def structs_in(annotation):
    """Yield our structs that a field may hold."""
    if inspect.isclass(annotation) and issubclass(annotation, msgspec.Struct):
        yield annotation
    is_union = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) in (typing.Union, list)
    for argument in typing.get_args(annotation) if is_union else ():
        yield from structs_in(argument)


def missing(model, struct, path):
    """Yield the fields of a model, and of the models inside it, that the struct has no place for."""
    ours = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, field in model.model_fields.items():
        if name == "type" and path in CLIENT_MESSAGES:
            continue
        if name not in ours:
            yield f"{path}.{name}"
            continue
        for inner in models_in(field.annotation):
            for our_inner in structs_in(ours[name].type):
                yield from missing(inner, our_inner, f"{path}.{name}")


def types_of(model):
    """Return the values that its `type` may have."""
    return typing.get_args(model.model_fields["type"].annotation)


SENT = {types_of(model)[0]: model for model in sent_models()}


def test_every_message_that_the_sdk_sends_is_known():
    assert set(SENT) <= set(CLIENT_MESSAGES)


@pytest.mark.parametrize("kind", SENT)
def test_every_field_that_the_sdk_sends_has_a_place(kind):
    assert sorted(set(missing(SENT[kind], CLIENT_MESSAGES[kind], kind))) == []


def test_every_message_that_the_sdk_knows_is_sent_but_for_services_that_are_not_here():
    ours = {struct.__struct_config__.tag for struct in ServerMessage.__subclasses__()}
    theirs = {kind for model in models_in(V1SocketClientResponse) for kind in types_of(model)}
    assert theirs - ours == {"ThinkLiveUpdated", "FrustrationDetected", "__customFromThinkProvider"}


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_text_of_ours_is_a_standard_turn_in_unhinted_languages_to_the_sdk(role):
    """The field with the kind of a text belongs to ConversationText, and an absent one means a standard turn."""
    read = AgentV1ConversationText.model_validate_json(codec.encode(ConversationText(role=role, content="Hello")))
    assert (read.conversational_behavior, read.languages, read.languages_hinted) == ("default", None, None)
    assert "conversational_behavior" not in AgentV1SettingsAgent.model_fields
