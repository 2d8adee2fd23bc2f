"""pipecat-ai's serializers for telephone services: a program for an interpreter that has it.

A JSON object comes on the standard input. For each service it has `stream_sid`, `media` (a message with audio), `pcm`
(samples in base64, 8 kHz, on Vonage's wire 16) and `digit` (a message with a key). Vonage's audio is no JSON message,
and is in base64 there. The answer has for each service pipecat's reading of the two messages. It also has
pipecat's own messages for the samples and for an interruption.
"""

import asyncio
import base64
import json
import sys
from types import SimpleNamespace

from pipecat.frames.frames import InterruptionFrame, OutputAudioRawFrame
from pipecat.serializers.exotel import ExotelFrameSerializer
from pipecat.serializers.plivo import PlivoFrameSerializer
from pipecat.serializers.telnyx import TelnyxFrameSerializer
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.serializers.vonage import VonageFrameSerializer


def given_rate(service):
    return 16000 if service == "vonage" else 8000


def serializer_of(service, stream):
    if service == "vonage":
        return VonageFrameSerializer(VonageFrameSerializer.InputParams(vonage_sample_rate=given_rate(service)))
    if service == "exotel":
        return ExotelFrameSerializer(stream)
    kind = {"twilio": TwilioFrameSerializer, "telnyx": TelnyxFrameSerializer, "plivo": PlivoFrameSerializer}[service]
    encodings = {"outbound_encoding": "PCMU", "inbound_encoding": "PCMU"} if service == "telnyx" else {}
    return kind(stream, **encodings, params=kind.InputParams(auto_hang_up=False))


async def answer_for(service, given):
    serializer = serializer_of(service, given["stream_sid"])
    await serializer.setup(SimpleNamespace(audio_in_sample_rate=given_rate(service)))
    is_binary = service == "vonage"
    read = await serializer.deserialize(base64.b64decode(given["media"]) if is_binary else given["media"])
    digit = await serializer.deserialize(given["digit"])
    rate = given_rate(service)
    frame = OutputAudioRawFrame(audio=base64.b64decode(given["pcm"]), sample_rate=rate, num_channels=1)
    media = await serializer.serialize(frame)
    return {
        "pcm": base64.b64encode(read.audio).decode(),
        "digit": digit.button.value,
        "media": base64.b64encode(media).decode() if is_binary else media,
        "clear": await serializer.serialize(InterruptionFrame()),
    }


async def main():
    given = json.load(sys.stdin)
    print(json.dumps({service: await answer_for(service, it) for service, it in given.items()}))


asyncio.run(main())
