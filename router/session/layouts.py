"""The layouts of a session's memory: each class of the state with its stored and its derived fields.

Increase `VERSION` when a field of the same name gets another meaning. A change of a class changes the fingerprint by
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from router.audio.convert import Converter
from router.audio.formats import Format, Recording
from router.deepgram import blocks
from router.deepgram import messages as deepgram
from router.logs.limits import LineLimiter, Window
from router.openai import events as openai
from router.session import inputs, reports
from router.session.context import Context
from router.session.packing import Layout, Layouts
from router.session.state import (
    calls,
    early,
    latency,
    ledger,
    limited,
    meter,
    pending,
    plan,
    playback,
    states,
    text_delivery,
    transcripts,
    turn,
    upstream,
    user_turn,
)
from router.session.state.item_weight import Weight
from router.session.state.session import Ids, State
from router.translation.audio import Microphone, Speaker
from router.translation.formats import Formats
from router.translation.listening import Detection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.session.packing import Packer, Unpacker

VERSION: Final = 4

_ENCODER: Final = msgspec.msgpack.Encoder()

MAX_IDS: Final = 128
"""The most ids of items and of counted usage that are stored. Events about older ones have come long ago."""


# Classes with a form of their own.


def _pack_converter(converter: Converter, packer: Packer) -> Any:
    return [packer.pack(converter.source), packer.pack(converter.target), *converter.memory]


def _fill_converter(made: Converter, packed: Any, unpacker: Unpacker) -> None:
    source, target, *memory = packed
    made.__init__(unpacker.unpack(source), unpacker.unpack(target))  # type: ignore[misc] # bare so far
    made.memory = memory


def _pack_ledger(kept: ledger.Ledger, packer: Packer) -> Any:
    if kept.packed is None or kept.packed[0] != kept.changes:
        # No other object of the session is an entry, so the text of an earlier snapshot stays valid.
        kept.packed = kept.changes, _ENCODER.encode([_row_of(entry, packer) for entry in kept.entries()])
    calls = {call_id: [it.sequence for it in open_calls] for call_id, open_calls in kept.open_calls.items()}
    return [msgspec.Raw(kept.packed[1]), calls, kept.sequence, kept.dropped, kept.cut, kept.forgotten_bytes]


def _row_of(entry: ledger.Entry, packer: Packer) -> Any:
    other = entry.other_half.sequence if entry.other_half is not None else None
    audio = packer.pack(entry.audio) if entry.audio is not ledger.SILENCE else None
    item = entry.item
    # The item is written together with all others. The flag tells a client's own item from one of the session's.
    return (entry.sequence, entry.item_id, entry.event_id, other, entry.item_weight, type(item) is dict, item, audio)


def _fill_ledger(made: ledger.Ledger, packed: Any, unpacker: Unpacker) -> None:
    rows, calls, sequence, made.dropped, made.cut, made.forgotten_bytes = packed
    entries = []
    for number, item_id, event_id, other, weight, is_of_client, item, audio in rows:
        entry = ledger.Entry(number, item_id)
        entry.event_id, entry.item_weight = event_id, Weight(*weight)
        entry.item = item if is_of_client or item is None else msgspec.convert(item, openai.NewItem)
        if audio is not None:
            entry.audio = unpacker.unpack(audio)
        entries.append((entry, other))
    made.refill(entries, calls, sequence)


def _pack_items(items: upstream.Items, packer: Packer) -> Any:
    waiting, ours = items.memory
    return [packer.pack(waiting), list(ours)[-MAX_IDS:], items.adds_unnamed]


def _fill_items(made: upstream.Items, packed: Any, unpacker: Unpacker) -> None:
    made.__init__()  # type: ignore[misc] # bare so far
    _, ours = made.memory
    made.refill(unpacker.unpack(packed[0]))
    ours.update(dict.fromkeys(packed[1]))
    made.adds_unnamed = packed[2]


def _pack_meter(usage: meter.UsageMeter, _packer: Packer) -> Any:
    counted, models = usage.memory
    return [list(counted)[-MAX_IDS:], [list(it) for it in models]]


def _fill_meter(made: meter.UsageMeter, packed: Any, _unpacker: Unpacker) -> None:
    counted, models = packed
    made.memory = [tuple(it) for it in counted], [meter.Models(*it) for it in models]


def _pack_stopwatch(stopwatch: reports.Stopwatch, packer: Packer) -> Any:
    return packer.pack(stopwatch.requested)


def _fill_stopwatch(made: reports.Stopwatch, packed: Any, unpacker: Unpacker) -> None:
    found = unpacker.unpack(packed)
    made.requested = {call_id: (unpacker.shift(at_s), tool) for call_id, (at_s, tool) in found.items()}


# The layouts.


def _of(kind: type, stored: str, *, derived: str = "", times: str = "", optional: str = "", **own: Any) -> Layout:
    names, apart, moments, wanted = (tuple(text.split()) for text in (stored, derived, times, optional))
    # A converter and the items compute their derived fields from the stored ones. The ledger of a new session is
    # filled, because it has the session's source of ids.
    is_filled = kind in (State, Ids) or (bool(apart) and kind not in (Converter, upstream.Items))
    return Layout(kind=kind, stored=names, derived=apart, times=moments, optional=wanted, is_filled=is_filled, **own)


LAYOUTS: Final = (
    _of(
        Context,
        "state now_s overrides voice has_ended ending timers sent_texts _lines _turn_log _stopwatch meter",
        # Between two inputs there is no text of the client, no signal and no command.
        derived="profile options client_text policy signals _commands",
        times="timers",
        # The present options decide whether turns and usage are reported.
        optional="_turn_log _stopwatch meter",
    ),
    _of(
        State,
        "in_hook drain_until_s stays_idle adoptions session_id lifecycle new_id generation upstream standby"
        " standby_state standby_sequence ledger calls turn pending early linear16_only without_idle echoes"
        " microphone speaker interim_transcripts playback transcripts latency verbatim_item_ids plan updates"
        " pending_acks next_speak model preparing has_converters is_applied has_context user_turns last_error limited"
        " unknown_types ignored over_bounds microphone_bytes interrupted_bytes rollovers",
        # The process that restores a session has lost the upstream whose events wait.
        derived="deferred",
        times="drain_until_s",
    ),
    _of(Ids, "_count _prefix"),
    _of(
        upstream.UpstreamLink,
        "generation items is_updating position opened_at expires_at formats has_confirmed_formats created_s rate_limits"
        " rates_warned is_created is_unannounced seeded_to last_item_id pending_updates refused repeated"
        " is_rollover_due has_warned standby_updates",
        times="created_s rates_warned",
    ),
    _of(
        upstream.Items,
        "_unacknowledged _ours adds_unnamed",
        derived="_waiting",
        pack=_pack_items,
        fill=_fill_items,
    ),
    _of(upstream.Update, "message event_id size_bytes has_speed is_late"),
    _of(
        ledger.Ledger,
        "_entries _speech _open_calls _sequence _tokens _bytes dropped cut forgotten_bytes",
        derived="_new_id _most _most_of_one changes packed",
        pack=_pack_ledger,
        fill=_fill_ledger,
    ),
    _of(calls.Calls, "outstanding approvals late refused _cancelled _requested _names"),
    _of(
        turn.Turn,
        "is_open response response_id output_id is_announced current is_cut answers_speech has_output"
        " has_started_speaking answer beside closed unnamed unasked failures interrupted ended cancels_next cancelled"
        " outside outputs overtaken_ids doubtful_id drops_unnamed is_cancelled_by_client is_resumed"
        " is_answered_by_passthrough has_called is_end_named is_end_open is_outside_announced is_rejected unproven",
        times="unasked",
    ),
    _of(text_delivery.TextDelivery, "before dropped given is_excess_told parts received_chars resent"),
    _of(
        text_delivery.ItemDelivery,
        "_differs _repeated _resent_chars before content_index is_closed is_commentary is_complete is_spoken item_id"
        " local_id received_s resent searched_chars sent_chars sent_text transcript",
    ),
    _of(pending.PendingResponses, "_requests _rules in_flight"),
    _of(
        pending.SentRequest,
        "commit_ids crossed event_id is_interrupted is_proven is_replaced is_withheld_cut request withheld",
    ),
    _of(early.EarlyInputs, "inputs dropped_bytes _messages _bytes _audio_bytes", derived="_max_messages _max_bytes"),
    _of(transcripts.InterimTranscripts, "_words _complete"),
    _of(transcripts.Transcripts, "_awaited _early held"),
    _of(transcripts.HeldMessage, "message item_id size_bytes"),
    _of(
        playback.Playback,
        "_ends_s _items _waiting _waiting_bytes _waiting_messages is_trusted sent_s dropped_bytes",
        derived="_max_ahead_s _max_queued_bytes _max_unread_bytes",
        times="_ends_s",
    ),
    _of(playback.PlayedItem, "is_truncated is_upstream item_id received_s sent_s text"),
    _of(playback.Piece, "item_id data duration_s"),
    _of(playback.QueuedMessage, "message size_bytes"),
    _of(
        latency.TurnLatency,
        "asked_s audio_s call_s text_s token_s transcribed_s",
        times="asked_s audio_s call_s text_s token_s transcribed_s",
    ),
    _of(plan.SessionPlan, "source agent detection transcribes client_formats changes"),
    _of(
        user_turn.UserTurns,
        "by_hand by_hand_id crossed current filled_s has_stopped_before is_ended_by_hand last_audio_s owed"
        " paused_s subject unanswered",
        times="last_audio_s paused_s",
    ),
    _of(
        user_turn.UserTurn, "asked_s commit_id is_behind_request is_detected is_replayed item_id phase", times="asked_s"
    ),
    _of(
        limited.Limited,
        "_has_user _heard_s _idle_s active_s began_s has_asked is_over reached spending warned_of",
        derived="_limits",
        times="_heard_s active_s began_s",
    ),
    _of(limited.Spending, "cost_usd is_changed today tokens turns", derived="_limits _prices _spend_today"),
    _of(
        meter.UsageMeter,
        "_counted _models",
        derived="_options",
        pack=_pack_meter,
        fill=_fill_meter,
    ),
    _of(reports.TurnLog, "_said _functions _dropped"),
    _of(reports.Stopwatch, "requested", pack=_pack_stopwatch, fill=_fill_stopwatch),
    _of(LineLimiter, "_windows"),
    _of(Window, "kind began_s lines missed", times="began_s"),
    _of(Speaker, "_converter _response_id"),
    _of(
        Microphone,
        "_clearing_bytes _commits _converter _given_up_bytes _is_filling _keeps_source _kept _kept_in _max_bytes"
        " _max_s _preroll_bytes _preroll_s _longest_bytes _sample_bytes _start _taken_bytes _uncommitted_bytes"
        " forgotten_bytes is_speech",
    ),
    _of(
        Converter,
        "source target _part _stream",
        derived="_decode _encode _piece_bytes _sample_bytes _step target_bytes_per_s",
        pack=_pack_converter,
        fill=_fill_converter,
    ),
    _of(Formats, "input output"),
)


def _server_messages(kind: type[deepgram.ServerMessage]) -> Iterator[type[deepgram.ServerMessage]]:
    for each in kind.__subclasses__():
        yield each
        yield from _server_messages(each)


STRUCTS: Final = (
    Format,
    Recording,
    Detection,
    blocks.Agent,
    blocks.Speak,
    deepgram.RequestedFunction,
    *deepgram.CLIENT_MESSAGES.values(),
    *_server_messages(deepgram.ServerMessage),
    *get_args(inputs.Passthrough),
    inputs.MicrophoneAudio,
    inputs.EchoedUserMessage,
    inputs.ClearSent,
    inputs.CommitSent,
    openai.ErrorDetail,
    openai.RateLimit,
    openai.MessageItem,
    openai.FunctionCallItem,
    openai.FunctionCallOutputItem,
    openai.McpApprovalResponseItem,
    pending.ResponseRequest,
    pending.VerbatimText,
    reports.Said,
)
"""The messages and other values that msgspec writes whole. None of them holds an object that has a layout."""

ENUMS: Final = (states.Lifecycle, states.ResponseState, states.StandbyState, states.UserTurnState)

STATE: Final = Layouts(LAYOUTS, structs=STRUCTS, enums=ENUMS)
