"""The layouts of a session's memory: each field of each class is stored, or named as derived."""

from types import NoneType

import msgspec
import pytest

from router.audio.convert import Converter
from router.audio.formats import LINEAR16_24K, MULAW_8K
from router.deepgram import messages as deepgram
from router.logs.limits import Window
from router.session import inputs, layouts
from router.session.context import Context
from router.session.packing import fields_of
from router.session.profile import CONVERSE
from router.session.reports import Stopwatch, TurnLog
from router.session.state.early import EarlyInputs
from router.session.state.ledger import Ledger
from router.session.state.limited import Limited, Spending
from router.session.state.meter import UsageMeter
from router.session.state.pending import ResponseRequest, SentRequest
from router.session.state.plan import SessionPlan
from router.session.state.playback import Piece, PlayedItem, QueuedMessage
from router.session.state.playback import Playback as PlaybackState
from router.session.state.session import Ids, State
from router.session.state.text_delivery import ItemDelivery
from router.session.state.transcripts import HeldMessage
from router.session.state.upstream import Update, UpstreamLink
from router.session.state.user_turn import UserTurn
from router.translation.audio import Microphone
from router.translation.formats import Formats
from tests.support.machine.options import session_options

OPTIONS = session_options()
MADE = {
    Context: lambda: Context("s", CONVERSE, OPTIONS),
    State: lambda: State("s", OPTIONS),
    Ids: lambda: Ids("s"),
    UpstreamLink: lambda: UpstreamLink(1),
    Update: lambda: Update(inputs.PassthroughSessionUpdate("{}"), "e", 1),
    Ledger: lambda: Ledger(new_id=str, max_tokens=1, max_bytes=1),
    EarlyInputs: lambda: EarlyInputs(max_messages=1, max_bytes=1),
    HeldMessage: lambda: HeldMessage(None, None, 0),
    PlaybackState: lambda: PlaybackState(1.0, 1, 1),
    PlayedItem: lambda: PlayedItem(None),
    Piece: lambda: Piece(None, b"", 0.0),
    QueuedMessage: lambda: QueuedMessage(None, 0),
    ItemDelivery: lambda: ItemDelivery(None),
    SentRequest: lambda: SentRequest(ResponseRequest(), "e"),
    SessionPlan: SessionPlan,
    UserTurn: UserTurn,
    Limited: lambda: Limited(OPTIONS),
    Spending: lambda: Spending(OPTIONS),
    UsageMeter: lambda: UsageMeter(OPTIONS),
    TurnLog: TurnLog,
    Stopwatch: Stopwatch,
    Window: lambda: Window("", 0.0),
    Microphone: lambda: Microphone(MULAW_8K, preroll_s=1.0, max_s=1.0),
    Converter: lambda: Converter(LINEAR16_24K, MULAW_8K),
    Formats: Formats,
}
"""The objects that need arguments. Every other class is made without."""


def defaults_of(kind):
    """Return the names of a class's defaults, which are fields of the instances that change them."""
    if issubclass(kind, (msgspec.Struct, tuple)):
        return set()
    values = (int, float, str, bytes, tuple, NoneType)
    return {name for name, value in vars(kind).items() if isinstance(value, values) and not name.startswith("__")}


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: layout.kind.__name__)
def test_every_field_of_the_memory_is_stored_or_named_as_derived(layout):
    made = MADE.get(layout.kind, layout.kind)()
    assert fields_of(made) | defaults_of(layout.kind) == {*layout.stored, *layout.derived}
    assert not set(layout.stored) & set(layout.derived)
    assert set(layout.times) <= set(layout.stored)


def test_a_changed_field_changes_the_fingerprint():
    changed = layouts.Layouts(layouts.LAYOUTS[1:], structs=layouts.STRUCTS, enums=layouts.ENUMS)
    assert changed.fingerprint() != layouts.STATE.fingerprint()


def test_no_message_to_a_client_lacks_its_layout():
    kinds = [kind for kind in vars(deepgram).values() if isinstance(kind, type)]
    messages = {
        kind for kind in kinds if issubclass(kind, deepgram.ServerMessage) and kind is not deepgram.ServerMessage
    }
    assert messages <= set(layouts.STRUCTS)
