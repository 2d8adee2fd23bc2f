"""An OpenAI Realtime server on this machine, without key and model. It is the embedded upstream, and a tool for tests.

A session is a pure machine: frames and timers in, commands out.

`session`         one session: the handlers of client events
`commands`        the effects that a session requests
`state`           the parts that a session's modules share: ids, outbox and script
`session_config`  the session object, its defaults and updates
`conversation`    the items of the conversation
`input_audio`     the input buffer, turn detection, commits and transcripts
`vad`             the start and the end of speech, by energy
`responses`       the responses of a session: begin, stream, end, and the reported rate limits
`response`        the events of one response, in order, and the times between them
`answer`          an answer as it grows

The answers come from rules, and the sound from a text.

`brain`           the rules that choose an answer
`history`         the conversation as the rules read it
`memory`          answers to questions about the conversation
`tool_calls`      the choice of functions and their arguments
`continuation`    the rest of an interrupted answer
`skills`          the time, counting, spelling, sums, stories
`smalltalk`       a table of phrases and answers
`stories`         stories, jokes and facts
`numerals`        numbers in words
`words`           the words of a sentence that carry meaning
`sound`           the audio of an answer, piece by piece
`voice`           speech-like sound for a text
`waveforms`       the samples of that sound; loads numpy
`usage`           token counts

Client events are checked strictly, and faults are injected on demand.

`schema`          the shapes of client events
`checks`          the parts that the shapes are built from
`errors`          the refusals of an event and of a connection
`admission`       the keys and models that are accepted
`faults`          the points of the protocol, and the faults that are injected there
`control`         client events that inject faults and script answers

With the extra `voice`, speech processes and a language model can replace the rules and the wordless voice.

`speech`          recognition and synthesis, in separate processes
`mind`            a language model that is reached through the chat-completions API
`services`        the processes and the model, shared by all sessions

The rest has threads and sockets.

`simulator`       the listening socket, the dispatcher and the sessions on it
`config`          the settings of a simulator
`server`          the HTTP side, with the upgrades
`actor`           one session on the dispatcher
`recording`       records of the connections, for tests to wait on
`deepgram`        the simulator of Deepgram's Voice Agent
`__main__`        the command `switchboard simulator`, or `python -m router.simulator`

The simulator shares no code with the translation under test; import-linter enforces this rule.
"""

from router.simulator.commands import Command
from router.simulator.config import LanguageModelConfig, SimulatorConfig
from router.simulator.faults import POINTS, Fault, FaultAction, FaultPoint
from router.simulator.history import Call, Say
from router.simulator.recording import ConnectionRecord
from router.simulator.session import Session
from router.simulator.simulator import Simulator

__all__ = [
    "POINTS",
    "Call",
    "Command",
    "ConnectionRecord",
    "Fault",
    "FaultAction",
    "FaultPoint",
    "LanguageModelConfig",
    "Say",
    "Session",
    "Simulator",
    "SimulatorConfig",
]
