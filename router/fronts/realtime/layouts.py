"""The layouts of a relay's memory: each class with its stored and its derived fields.

Increase `VERSION` when a field of the same name gets another meaning. A change of a class changes the checksum by
itself. A relay moves only between processes of one machine, which have one clock. So stored times stay as they are.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from router.fronts.realtime.configuration import Configuration
from router.fronts.realtime.kept_items import Conversation, Item
from router.fronts.realtime.kept_speech import Speech
from router.fronts.realtime.names import Names
from router.fronts.realtime.relay import Context, Stage, State
from router.fronts.realtime.requests import Sent, Unanswered, Waiting
from router.fronts.realtime.responses import Output, Part, Request, Response
from router.fronts.realtime.turn_reports import Reports
from router.fronts.realtime.wire import Event
from router.fronts.relay_value import LIMITS, layout_of
from router.session import layouts as session
from router.session.packing import Layouts
from router.session.reports import Said, Stopwatch, TurnLog
from router.session.state.item_weight import Weight

if TYPE_CHECKING:
    from router.session.packing import Packer, Unpacker

VERSION: Final = 2

_ENCODER: Final = msgspec.msgpack.Encoder()


def _pack_event(event: Event, _packer: Packer) -> Any:
    # The text of an unchanged event says all that its fields do.
    is_own = event.is_changed or not event.text
    return [event.kind, event.text, event.is_changed, _ENCODER.encode(event.fields) if is_own else None]


def _fill_event(made: Event, packed: Any, _unpacker: Unpacker) -> None:
    made.kind, made.text, made.is_changed, fields = packed
    made.fields = orjson.loads(made.text) if fields is None else msgspec.msgpack.decode(fields)


def _pack_configuration(configuration: Configuration, _packer: Packer) -> Any:
    return _ENCODER.encode([getattr(configuration, name) for name in _CONFIGURATION])


def _fill_configuration(made: Configuration, packed: Any, _unpacker: Unpacker) -> None:
    for name, value in zip(_CONFIGURATION, msgspec.msgpack.decode(packed), strict=True):
        setattr(made, name, value)


_CONFIGURATION: Final = ("update", "session", "turn_detection", "input_bytes_per_ms", "output_bytes_per_ms")

ITEM: Final = (
    "generation",
    "previous",
    "is_upstream",
    "is_added",
    "is_done",
    "awaits_transcript",
    "heard",
    "is_left_out",
    "weight",
)
"""The fields of an item that may change while its content stays."""

_FACTS: Final = operator.attrgetter(*ITEM)


def _row_of(item: Item) -> bytes:
    """Return the packed form of an item. Pack the item again only if it has changed since the last packing."""
    facts: tuple[Any, ...] = _FACTS(item)
    packed = item.packed
    if packed is None or packed[0] is not item.wire or packed[1] is not item.audio or packed[2] != facts:
        packed = item.packed = item.wire, item.audio, facts, _ENCODER.encode([item.wire, item.audio, *facts])
    return packed[3]


def _item_of(row: list[Any]) -> Item:
    wire, audio, *facts = row
    item = Item(wire, 0, None)
    item.audio = audio
    for name, value in zip(ITEM, facts, strict=True):
        setattr(item, name, value)
    item.weight = Weight(*item.weight)
    return item


def _pack_conversation(kept: Conversation, _packer: Packer) -> Any:
    items, order = kept.memory
    rows = _ENCODER.encode([msgspec.Raw(_row_of(item)) for item in items])
    return [rows, order, kept.dropped]


def _fill_conversation(made: Conversation, packed: Any, _unpacker: Unpacker) -> None:
    rows, order, made.dropped = packed
    made.memory = [_item_of(row) for row in msgspec.msgpack.decode(rows)], order


LAYOUTS: Final = (
    layout_of(
        Context,
        "state reports limits now_s model closing",
        # Between two inputs there is no command.
        derived="config options is_noticed policy commands marks session",
    ),
    layout_of(
        State,
        "stage generation _dialled is_rollover is_announced early was_ready has_restarted session_id configuration"
        " items names responses speech unanswered waiting resumes is_owed replayed unacknowledged deleted"
        " configuration_id is_bound is_ack_awaited last_error opened_unix_s position is_draining stays_idle event_s",
        # These fields belong to upstreams that the other process has closed.
        derived="standby held_error",
    ),
    layout_of(Configuration, " ".join(_CONFIGURATION), pack=_pack_configuration, fill=_fill_configuration),
    layout_of(
        Conversation,
        "_items _order _tokens _bytes dropped",
        derived="_most",
        pack=_pack_conversation,
        fill=_fill_conversation,
    ),
    layout_of(Names, "_to_client _to_upstream _count _known _current"),
    layout_of(Response, "fields request is_outside outputs kept_chars has_excess is_cancelled began_s"),
    layout_of(Output, "item index parts arguments has_arguments is_done is_in_conversation"),
    layout_of(Part, "is_audio text audio_bytes has_text_ended has_audio_ended is_done"),
    layout_of(Request, "fields event_id is_own is_remark adopts sent_s"),
    layout_of(Speech, "_segments _chars item_id has_stopped is_repeated appended_ms offset_ms forgotten_chars"),
    layout_of(Unanswered, "_sent held_bytes"),
    layout_of(Waiting, "_events _chars _count dropped_chars"),
    layout_of(Sent, "event event_id has_own_id request sent_s behind"),
    layout_of(Event, "kind text is_changed fields", pack=_pack_event, fill=_fill_event),
    layout_of(
        Reports,
        "_received_s _sent_s model _stopwatch _turn_log _asked_s _first_s",
        # The meter is the session's own.
        derived="_meter",
    ),
    *LIMITS,
    *(layout for layout in session.LAYOUTS if layout.kind in (Stopwatch, TurnLog)),
)

RELAY: Final = Layouts(LAYOUTS, structs=(Said,), enums=(Stage,))
"""The layouts of a relay that may move to another process."""
