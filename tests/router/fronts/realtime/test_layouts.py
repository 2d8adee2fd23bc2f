"""The layouts of a relay's memory: each field of each class is stored, or named as derived."""

import pytest

from router.fronts.call_limits import CallLimits, Playback
from router.fronts.realtime import layouts
from router.fronts.realtime.configuration import Configuration
from router.fronts.realtime.kept_items import Conversation, Item
from router.fronts.realtime.kept_speech import Speech
from router.fronts.realtime.relay import Context, State
from router.fronts.realtime.requests import Sent
from router.fronts.realtime.responses import Output, Part, Request, Response
from router.fronts.realtime.turn_reports import Reports
from router.fronts.realtime.wire import Event
from router.session.packing import fields_of
from router.session.state.limited import Limited, Spending
from tests.support.machine.options import session_options
from tests.support.machine.realtime_world import make_relay

OPTIONS = session_options()
MADE = {
    Context: lambda: make_relay().context,
    State: lambda: make_relay().context.state,
    CallLimits: lambda: make_relay().context.limits,
    Reports: lambda: make_relay().context.reports,
    Conversation: lambda: Conversation(max_tokens=1, max_bytes=1),
    Response: lambda: Response({}, None, is_outside=False),
    Output: lambda: Output({}, 0),
    Part: lambda: Part(is_audio=False),
    Request: lambda: Request({}, event_id=""),
    Event: lambda: Event("", {}, ""),
    Sent: lambda: Sent(Event("", {}, ""), "", has_own_id=False),
    Limited: lambda: Limited(OPTIONS),
    Spending: lambda: Spending(OPTIONS),
    Playback: Playback,
    Speech: Speech,
    Configuration: Configuration,
}
"""The objects that need arguments, and some that do not. Every other class is made without."""


@pytest.mark.parametrize("layout", layouts.LAYOUTS, ids=lambda layout: layout.kind.__name__)
def test_every_field_of_the_memory_is_stored_or_named_as_derived(layout):
    assert fields_of(MADE.get(layout.kind, layout.kind)()) == {*layout.stored, *layout.derived}
    assert not set(layout.stored) & set(layout.derived)


def test_every_field_of_an_item_is_in_its_row():
    assert fields_of(Item({}, 1, None)) == {*layouts.ITEM, "wire", "audio", "packed"}
