"""pipecat-ai's serializers for telephone services: a program for an interpreter that has it.

A JSON object comes on the standard input. For each service it has `stream_sid`, `media` (a message with audio), `pcm`
(samples in base64, 8 kHz) and `digit` (a message with a key). The answer has, for each service, pipecat's reading of
both messages, and its own messages for the samples and for an interruption.
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


def serializer_of(service, stream):
    if service == "exotel":
        return ExotelFrameSerializer(stream)
    kind = {"twilio": TwilioFrameSerializer, "telnyx": TelnyxFrameSerializer, "plivo": PlivoFrameSerializer}[service]
    encodings = {"outbound_encoding": "PCMU", "inbound_encoding": "PCMU"} if service == "telnyx" else {}
    return kind(stream, **encodings, params=kind.InputParams(auto_hang_up=False))


async def answer_for(service, given):
    serializer = serializer_of(service, given["stream_sid"])
    await serializer.setup(SimpleNamespace(audio_in_sample_rate=8000))
    read = await serializer.deserialize(given["media"])
    digit = await serializer.deserialize(given["digit"])
    frame = OutputAudioRawFrame(audio=base64.b64decode(given["pcm"]), sample_rate=8000, num_channels=1)
    return {
        "pcm": base64.b64encode(read.audio).decode(),
        "digit": digit.button.value,
        "media": await serializer.serialize(frame),
        "clear": await serializer.serialize(InterruptionFrame()),
    }


async def main():
    given = json.load(sys.stdin)
    print(json.dumps({service: await answer_for(service, it) for service, it in given.items()}))


asyncio.run(main())
