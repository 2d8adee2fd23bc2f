"""An OpenAI Realtime server that runs on this machine, with no key and no model: the embedded upstream and test kit.

Pure: a session is a machine, frames and timers in, commands out.
`session`      one session: what each client event does
`schema`       the shapes of client events, from the parts in `checks`; `errors` says how they are refused
`settings`     the session object and its updates
`conversation` items
`input_audio`  the input buffer, turn detection (`vad`), commits, transcripts
`responses`    who is answering; `response` streams one answer
`brain`        what to answer, from `history`: `memory`, `tools`, `words`, `continuation`
`voice`        speech-like sound; `usage` counts tokens
`faults`       what goes wrong where, on demand; `control` takes that, and scripts, over the wire
`admission`    which keys and models are let in

Not pure: `actor` carries a session on a dispatcher, `server` answers HTTP, `simulator` holds it all, `recording`
remembers what was seen. The translation under test shares no code with any of it.
"""

from router.simulator.commands import Command
from router.simulator.config import SimulatorConfig
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
    "Say",
    "Session",
    "Simulator",
    "SimulatorConfig",
]
