"""Past faults of the session. The explorer has to find each again when its mending is undone.

    python -m tests.explore.findings

A number is that of the critical reading that found the fault. The explorer found E1 and so on. A fault outside of the
explorer's alphabet has a row in docs/invariants.md, with the test that covers it.
"""

from __future__ import annotations

import contextlib  # noqa: TC003 - msgspec resolves the annotations
import sys
from collections.abc import Callable  # noqa: TC003 - msgspec resolves the annotations
from typing import Any

import msgspec

from router.openai import events as openai
from router.session import inputs, machine
from router.session.deadlines import Wait
from router.session.handlers import (
    barge_in,
    delivery,
    injection,
    items,
    passthrough,
    response_begin,
    response_end,
    response_origin,
    response_requests,
    restart,
    takeover,
)
from router.session.handlers import user_turn as handlers_of_turn
from router.session.state import ledger, origin, pending, session, text_delivery, turn, upstream, user_turn
from router.session.state.states import UserTurnState
from router.translation.audio import Microphone
from tests.explore.ends import ENDS
from tests.explore.search import ROOTS, Action, Root, Search
from tests.explore.shrink import breaks
from tests.explore.undoing import (
    answer_all_with_speech,
    asks_behind_audio,
    awaits_cut_response,
    begin_and_cover,
    begin_without_item,
    begins_without_end,
    beside_although_owed,
    by_metadata,
    by_order,
    clear_all,
    clears_again,
    commit_all,
    commit_as_detected,
    commit_behind,
    create_with_clock,
    drop_gated,
    forget_only,
    forgets_commits,
    forgets_crossed_turn,
    forgets_crossing,
    forgets_whose_commit,
    gives_up,
    handle_as_before,
    in_table,
    inject_and_replace,
    interrupt_also_outside,
    interrupt_and_forget_beside,
    interrupts_nothing_as_is,
    is_named,
    keeps_current,
    keeps_speech,
    mutes_unnamed,
    named_id,
    newest_part,
    one_key_for_all,
    outside_is_turn,
    owes_nothing_as_is,
    put,
    reject_by_id,
    renews_although_requested,
    replay_and_request_nothing,
    stop_also_outside,
    stop_and_record,
    text_twice,
    then,
    withdraw_one,
    without_correction,
    without_deadline,
)

READY = "dialled-1 created-1 take-1-message "
ASKED = READY + "say take-1-message take-1-message "
SAID = ASKED + "step-1-False " * 6
SEEDED = ASKED + "fire-rollover dialled-2 created-2 take-2-message "
LATE_ITEM = SEEDED + "take-2-message native-conversation.item.create fire-next~event lost-1 refuse-2 run_well"
HEARD = READY + "frame speech-1 stop-1 commit-1 "
COUGHED = HEARD + "no_words-1-user~101- inject-default own-1-message "
OPENAI: Root = ("openai", "settings", "none")
AS_IS: Root = ("openai", "session.update", "none")
MANUAL: Root = ("openai", "manual", "none")


class Finding(msgspec.Struct):
    """A fault, the change that brings it back, and a walk that then breaks a rule."""

    number: str
    words: str
    root: Root
    walk: str
    """The actions, with their parts joined by `-`. If it is empty, the search finds a walk."""
    undo: Callable[[], contextlib.AbstractContextManager[Any]]


def actions_of(walk: str) -> list[Action]:
    """Return the actions that a text names."""
    return [_action(*word.split("-")) for word in walk.split()]


def _action(kind: str, *details: str) -> Action:
    values = {"True": True, "False": False}
    parts = [int(it) if it.isdigit() else values.get(it, it.replace("~", "_").replace("+", " ")) for it in details]
    return (kind.replace("_", " ") if kind not in ENDS else kind, *parts)


FINDINGS = (
    Finding("3", "speech that never ends keeps a question waiting", OPENAI, READY + "frame speech-1 say run_noisy",
            without_deadline(Wait.SPEECH)),
    Finding("5", "a session that a client's session.update opened owes no answer to speech", AS_IS, HEARD,
            in_table(openai.InputAudioBufferCommitted, owes_nothing_as_is)),
    Finding("6", "a client's own commit holds back its response.create", OPENAI,
            READY + "frame speech-1 native-input~audio~buffer.commit native-response.create take-1-message",
            in_table(inputs.CommitSent, forgets_whose_commit)),
    Finding("7", "speech behind a commit on its way is never committed", MANUAL,
            READY + "frame fire-manual~commit frame take-1-message fire-manual~commit",
            put(Microphone, "commit", commit_behind)),
    Finding("9", "a new voice waits for an upstream without end", OPENAI,
            SAID + "speak take-1-message run_silent", without_deadline(Wait.TAKEOVER)),
    Finding("10", "an agent whose upstream gives no ids is mute after an interruption",
            ("converse", "settings", "no ids"),
            HEARD + "own-1-message step-1-False step-1-False step-1-False frame speech-1 run_well", mutes_unnamed),
    Finding("13", "a call is given up before the client is asked to run it", OPENAI,
            READY + "say take-1-message take-1-long+call step-1-False step-1-False step-1-False step-1-False "
            "step-1-False step-1-False step-1-False step-1-False run_silent",
            put(delivery, "_send_behind_audio", asks_behind_audio)),
    Finding("16", "the end of earlier speech ends the speech that follows it", OPENAI,
            READY + "frame speech-1 stop-1 speech-1 say take-1-message run_silent",
            in_table(openai.InputAudioBufferSpeechStarted, then(lambda context: context.wait(Wait.COMMIT)))),
    Finding("17", "an answer beside a client's own response outside the conversation comes twice", OPENAI,
            READY + "native-outside take-1-written frame speech-1 stop-1 commit-1 own-1-message step-1-False "
            "step-1-False step-1-False step-1-True step-1-True step-1-True step-1-True run_well", outside_is_turn),
    Finding("18", "an unmarked response is taken for the requested one", OPENAI,
            READY + "inject-default frame speech-1 stop-1 commit-1 own-1-message run_well",
            without_correction(put(response_origin, "origin_of", by_order))),
    Finding("19", "a session that a client's session.update opened has no barge-in", AS_IS,
            ASKED + "frame step-1-False step-1-False speech-1 trail-1",
            in_table(openai.InputAudioBufferSpeechStarted, interrupts_nothing_as_is)),
    Finding("21", "the texts of overlapping items reach the client twice", ("converse", "settings", "none"),
            READY + "say take-1-message take-1-overlap step-1-False step-1-False step-1-False step-1-False "
            "step-1-False step-1-False step-1-False", put(text_delivery.TextDelivery, "of_text", newest_part)),
    Finding("22", "an item that an upstream refused reaches the next one", OPENAI,
            READY + "say refuse-1 close-1 run_well", put(ledger.Ledger, "refuse", lambda *_args: None)),
    Finding("24", "a verbatim text that was refused is recorded twice", ("openai", "settings", "no created"),
            ASKED.replace("take-1-message take-1-message ", "take-1-message take-1-text+only ")
            + "step-1-False inject-default take-1-busy end-1 run_well",
            put(response_requests, "_await_other_response", keeps_current)),
    Finding("25", "a text is told twice", OPENAI, ASKED + "step-1-False step-1-False step-1-False step-1-False "
            "step-1-False", text_twice),
    Finding("28", "a noise starts the measurement of a latency", ("converse", "settings", "none"),
            HEARD + "no_words-1-user~101- fire-rollover say take-1-message take-1-message step-1-False step-1-False "
            "step-1-False step-1-False step-1-False step-1-False",
            in_table(openai.InputAudioBufferCommitted, then(lambda context: context.mark_question(context.now_s)))),
    Finding("29", "a response is requested to an item that was refused without its event",
            ("openai", "settings", "no causes"), READY + "say refuse-1 run_silent",
            put(items, "refused_id", named_id)),
    Finding("30", "events without progress keep a response that was not announced without end",
            ("converse", "settings", "no created"),
            READY + "say take-1-message take-1-words+first step-1-False run_pinging", begins_without_end),
    Finding("30", "the rest of an answer that a lost upstream began has the wrong deadline",
            ("converse", "settings", "none"),
            ASKED + "step-1-False step-1-False step-1-False close-1 dialled-2 created-2 take-2-message take-2-message "
            "take-2-message repeat-2 run_silent",
            put(machine.Session, "_restart_silence_deadline", renews_although_requested)),
    Finding("E1", "the item of speech acknowledges a typed question", OPENAI,
            READY + "update frame speech-1 say stop-1 commit-1 own-1-message run_well",
            put(upstream.Items, "note_speech", lambda *_args: None)),
    Finding("E2", "an answer to speech covers a question that the upstream did not acknowledge", OPENAI,
            HEARD + "say fire-item~ack own-1-message run_well",
            put(pending.PendingResponses, "answer_with_speech", answer_all_with_speech)),
    Finding("E3", "an answer that gives way to an urgent text covers the question behind it", OPENAI,
            HEARD + "inject-interrupt say take-1-message own-1-message run_well",
            put(response_begin, "_begin_of_upstream", begin_and_cover)),
    Finding("E4", "a frame of an earlier upstream renews a deadline", OPENAI,
            ASKED + "close-1 dialled-2 created-2 take-2-message take-2-message take-2-message late-step",
            put(machine.Session, "handle", handle_as_before)),
    Finding("E5", "ids that the next upstream gives again confuse the ledger", ("openai", "settings", "reused ids"),
            "dialled-1 close-1 dialled-2 created-2 take-2-message native-response.create take-2-both step-2-False "
            "step-2-False say fire-item~ack update step-2-False fire-update frame run_well",
            put(session.State, "_retired", lambda _self, item_id: item_id)),
    Finding("E6", "a response that begins too late is not awaited to its end", OPENAI,
            READY + "frame speech-1 force stop-1 say native-response.cancel commit-1 own-1-call update run_well",
            put(response_begin, "is_outside", lambda _response: True)),
    Finding("E7", "a waiting turn ends inside the next answer", ("openai", "settings", "no created"),
            READY + "say frame speech-1 take-1-message stop-1 commit-1 unannounced-1-item+only take-1-audio+first "
            "step-1-False fire-transcript", put(delivery, "end_earlier_turn", lambda _context: None)),
    Finding("E8", "a lost commit is awaited although the next one was refused", OPENAI,
            READY + "frame speech-1 force stop-1 speech-1 native-input~audio~buffer.commit drop-1 refuse-1",
            put(user_turn.UserTurns, "withdraw_commit", withdraw_one)),
    Finding("E9", "the answer to speech is cancelled for an earlier urgent text", AS_IS,
            HEARD + "frame inject-interrupt speech-1 native-input~audio~buffer.commit stop-1 commit-1 take-1-message "
            "words-1-user~101 own-1-message words-1-user~102 take-1-message take-1-message step-1-True step-1-True "
            "step-1-True step-1-True step-1-True step-1-True",
            put(handlers_of_turn, "_await_answer", lambda _context: UserTurnState.AWAITING_ANSWER)),
    Finding("E10", "a question counts as answered that a standby upstream does not have yet",
            ("openai", "settings", "no echo"),
            "dialled-1 created-1 native-input~audio~buffer.commit take-1-message fire-rollover frame update "
            "take-1-message say dialled-2 take-1-message created-2 take-2-message take-1-message fire-first~event "
            "lost-1 speech-2 stop-2 commit-2 words-2-user~201 own-2-message step-2-False step-2-False step-2-False "
            "step-2-False step-2-False step-2-False", put(takeover, "await_item", lambda *_args: None)),
    Finding("E11", "a noise ends a question whose answer never began", ("converse", "settings", "reused ids"),
            READY + "say take-1-message take-1-call step-1-False step-1-False step-1-False inject-queue "
            "take-1-message answer-call~101 other_id-1 step-1-True say fire-rollover take-1-message step-1-True "
            "dialled-2 created-2 step-1-True frame take-2-message step-1-True step-1-True step-1-True speech-1 "
            "run_silent", put(pending.SentRequest, "is_over", property(lambda self: self.is_interrupted))),
    Finding("E12", "a second interruption counts unheard words as heard", ("converse", "settings", "no created"),
            HEARD + "unannounced-1-words+first step-1-False say frame speech-1 run_well",
            put(barge_in, "_stop_response", stop_and_record)),
    Finding("E13", "the end of a response is awaited whose calls speech cancelled",
            ("converse", "settings", "no created"),
            HEARD + "unannounced-1-call+first frame speech-1 run_silent", awaits_cut_response),
    Finding("E15", "the answer to a turn whose commits crossed is taken for a text in flight",
            ("converse", "settings", "no created"),
            "dialled-1 close-1 dialled-2 created-2 take-2-message frame speech-2 inject-interrupt force stop-2 "
            "commit-2 frame speech-2 run_well",
            in_table(openai.InputAudioBufferSpeechStarted, forgets_crossed_turn)),
    Finding("E14", "a later commit by hand hides that an earlier one crossed the detector's",
            ("openai", "session.update", "no echo"),
            READY + "frame speech-1 inject-interrupt stop-1 native-input~audio~buffer.commit commit-1 "
            "native-input~audio~buffer.commit run_well", in_table(inputs.CommitSent, forgets_crossing)),
    Finding("E16", "speech behind a commit of nothing is no item of the next upstream",
            ("openai", "session.update", "reused ids"),
            "dialled-1 created-1 take-1-message say take-1-message take-1-message fail-1-cancelled "
            "native-input~audio~buffer.commit native-input~audio~buffer.clear frame speech-1 stop-1 fire-ask~again "
            "commit-1 take-1-message fire-first~event run_well",
            put(handlers_of_turn, "_withdraw_empty_commits", lambda *_args: None)),
    Finding("E17", "a repeated acknowledgement of a clear discards later audio", ("openai", "session.update", "none"),
            READY + "native-input~audio~buffer.clear take-1-message frame repeat-1 speech-1 force", clears_again),
    Finding("E18", "the acknowledgement of a clear discards audio behind the clear", OPENAI,
            READY + "native-input~audio~buffer.clear frame take-1-message speech-1 force",
            put(Microphone, "clear", clear_all)),
    Finding("E19", "the response to a doubtful request answers the output of a function behind it",
            ("openai", "settings", "no created"),
            READY + "say take-1-message frame speech-1 stop-1 commit-1 own-1-call step-1-False step-1-False "
            "answer-call~102 step-1-False take-1-item+only step-1-False run_silent",
            put(response_origin, "_takes_doubtful_request", lambda _context: False)),
    Finding("E20", "a refusal on standby that comes twice refuses the item that the upstream gets again", OPENAI,
            SEEDED + "refuse-2 fire-next~event lost-1 repeat-2 run_well", put(items, "AGAIN", "")),
    Finding("E21", "the acknowledgement of a clear forgets a commit behind the clear",
            ("openai", "session.update", "numeric ids"),
            READY + "frame speech-1 native-input~audio~buffer.clear fire-microphone native-input~audio~buffer.commit "
            "take-1-message refuse-1 speech-1 force", in_table(openai.InputAudioBufferCleared, forgets_commits)),
    Finding("E22", "a commit by hand that crossed the detector's is forgotten when the upstream answers by itself",
            ("openai", "session.update", "only done"),
            READY + "frame speech-1 force stop-1 commit-1 frame own-1-done+only speech-1 run_well",
            put(handlers_of_turn, "judge_crossed", lambda *_args: None)),
    Finding("E23", "a client's commit that crossed the detector's is forgotten when the upstream answers by itself",
            AS_IS, READY + "frame speech-1 stop-1 native-input~audio~buffer.commit commit-1 frame own-1-message "
            "speech-1 run_well", put(handlers_of_turn, "reopen_crossed", lambda *_args: None)),
    Finding("E24", "a standby upstream that refused a call gets the call again without its output",
            ("openai", "settings", "no echo"),
            READY + "say take-1-message take-1-call step-1-False step-1-False "
            "step-1-False native-response.create fire-rollover answer-call~101 fire-first~event dialled-2 created-2 "
            "take-2-message take-2-message refuse-2 lost-1", put(ledger.Ledger, "output_of", lambda *_args: None)),
    Finding("E25", "the late end of a response that its text ended ends the next request",
            ("openai", "settings", "no created"),
            READY + "say take-1-message take-1-text+only step-1-False say take-1-message end-1 run_silent",
            put(turn.Turn, "takes_late_end", lambda *_args: False)),
    Finding("E26", "a spoken answer acknowledges an item that the upstream lost", ("openai", "settings", "no created"),
            READY + "inject-interrupt refuse-1 drop-1 say take-1-message take-1-item+only step-1-False end-1",
            put(upstream, "_SPOKEN", frozenset({"input_audio"}))),
    Finding("E27", "a commit that is refused because its clear was lost leaves the speech open",
            ("openai", "settings", "reused ids"),
            READY + "frame speech-1 native-input~audio~buffer.clear native-input~audio~buffer.commit drop-1 "
            "take-1-message", in_table(inputs.CommitRefused, keeps_speech)),
    Finding("E28", "an update of its time on standby that an upstream refuses late is awaited without end", AS_IS,
            SEEDED + "update fire-update late-take lost-1 refuse-2 refuse-2 run_well",
            put(upstream.UpstreamLink, "refuse_update", lambda *_args: False)),
    Finding("E29", "a refused clear counts as on its way, and the audio before it is not committed", OPENAI,
            READY + "frame native-input~audio~buffer.clear refuse-1 speech-1 force",
            put(user_turn.UserTurns, "withdraw_clear", lambda *_args: False)),
    Finding("E34", "an answer to speech covers a question behind a failed answer that it cannot know",
            ("converse", "settings", "numeric ids"),
            READY + "say take-1-message take-1-message say frame fail-1-failed speech-1 fire-ask_again stop-1 "
            "fire-item_ack commit-1 own-1-message words-1-user~102 step-1-False step-1-False step-1-False "
            "step-1-False step-1-False step-1-False",
            put(pending.PendingResponses, "begin_again", begin_without_item)),
    Finding("E35", "the late end of a cancelled statement ends the request in flight",
            ("openai", "settings", "no created"),
            READY + "say take-1-message take-1-message step-1-False frame inject-interrupt speech-1 fail-1-failed "
            "drop-1 stop-1 commit-1 own-1-call step-1-False step-1-False native-response.cancel answer-call~103 "
            "step-1-False take-1-message take-1-message fire-ask_again",
            put(response_end, "answers_earlier_request", lambda *_args: False)),
    Finding("E36", "a commit takes the audio behind a clear that is on its way",
            ("openai", "session.update", "reused ids"),
            READY + "say take-1-message take-1-message frame speech-1 native-input~audio~buffer.commit step-1-False "
            "native-input~audio~buffer.clear drop-1 frame fire-commit take-1-message take-1-message speech-1 force",
            put(Microphone, "commit", commit_all)),
    Finding("E30", "an unannounced response answers speech that was committed behind its request",
            ("openai", "settings", "no created"),
            READY + "say take-1-message frame speech-1 take-1-message stop-1 commit-1 step-1-False step-1-False "
            "step-1-False step-1-False run_silent",
            put(response_begin, "_answer_earlier_speech", response_begin._answer_speech)),
    Finding("E31", "a standby upstream that refused speech without its transcript does not get its words",
            ("openai", "session.update", "no created"),
            "dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 fire-rollover dialled-2 "
            "fire-unannounced take-2-message refuse-2 words-1-user~101 run_silent",
            put(ledger, "_has_id", lambda *_args: False)),
    Finding("E32", "a late refusal of a commit hides a later commit", ("openai", "session.update", "no echo"),
            READY + "say frame speech-1 force take-1-message fire-commit stop-1 commit-1 "
            "native-input~audio~buffer.commit run_well",
            put(user_turn.UserTurns, "set_by_hand", lambda self: setattr(self, "by_hand", self.subject))),
    Finding("E33", "audio before a clear that the lost upstream did not acknowledge reaches the next upstream", OPENAI,
            READY + "frame speech-1 native-input~audio~buffer.clear close-1 run_well",
            put(Microphone, "_forget_cleared", lambda *_args: None)),
    Finding("E37", "an interruption concerns every earlier answer without an id", ("converse", "settings", "no ids"),
            HEARD + "frame run_well", one_key_for_all),
    Finding("E38", "a late response without an id counts as an answer", ("converse", "settings", "no ids"),
            "dialled-1 created-1 take-1-message fire-rollover dialled-2 created-2 take-2-message inject-interrupt "
            "frame speech-2 stop-2 commit-2 own-2-message words-2-user_201 step-2-False step-2-False step-2-False "
            "step-2-False step-2-False step-2-False take-2-message step-2-True step-2-True step-2-True",
            put(turn.Turn, "drop_unnamed", lambda _self: None)),
    Finding("E39", "a client's own response outside the conversation begins a turn that never ends", OPENAI,
            "native-outside run_well", put(turn.Turn, "answer_of", lambda it, _id: it.answer)),
    Finding("E42", "a refused item of a client's own is awaited", OPENAI,
            READY + "native-input~audio~buffer.commit native-conversation.item.create take-1-message refuse-1 run_well",
            put(upstream.Items, "reject", reject_by_id)),
    Finding("E43", "a standby upstream lacks an item that it refused without its event",
            ("openai", "settings", "no causes"),
            "dialled-1 created-1 say take-1-message fire-rollover dialled-2 created-2 take-2-message refuse-2 close-1",
            put(items, "refused_id", named_id)),
    Finding("E44", "a request that was refused without its event is awaited", ("openai", "settings", "no causes"),
            READY + "inject-default refuse-1", put(response_requests, "_is_about", is_named)),
    Finding("E40", "a client's own response is not recognized without its metadata",
            ("openai", "settings", "no echo"), "native-outside run_well",
            put(origin, "_beside_client_request", by_metadata)),
    Finding("E41", "a client's own response that is not announced is a turn", ("openai", "settings", "no created"),
            "native-outside run_well", put(turn.Turn, "begins_beside", lambda *_args: False)),
    Finding("E60", "the answer to a noise is taken for the first verbatim text", ("converse", "settings", "none"),
            COUGHED + "take-1-message run_well", put(response_begin, "answers_request", lambda *_args: False)),
    Finding("E61", "the answer to a noise ends as the first verbatim text", ("converse", "settings", "none"),
            COUGHED + "step-1-False step-1-False step-1-False step-1-False step-1-False step-1-False take-1-message "
            "run_well", put(response_origin, "answers_request", lambda *_args: False)),
    Finding("E62", "a client's own item without an id reaches the next upstream although it was refused", AS_IS,
            LATE_ITEM, put(passthrough, "_named", lambda item, _item_id: item)),
    Finding("E63", "a standby upstream keeps an item that the upstream in use refused",
            ("openai", "session.update", "no echo"),
            "dialled-1 created-1 take-1-message fire-rollover say dialled-2 created-2 take-2-message refuse-1",
            put(ledger.Ledger, "refuse", forget_only)),
    Finding("E64", "a client's own request outside the conversation begins a latency",
            ("openai", "session.update", "no echo"), READY + "native-outside refuse-1 fire-rollover frame run_well",
            put(response_requests, "_create", create_with_clock)),
    Finding("E65", "the repeated begin of a given text that speech overtook lets its text pass",
            ("openai", "session.update", "no echo"),
            READY + "frame speech-1 inject-interrupt stop-1 commit-1 own-1-message take-1-message repeat-1 run_well",
            put(turn.Turn, "is_dropped", lambda *_args: False)),
    Finding("E66", "an answer to speech counts as a client's own response outside the conversation",
            ("openai", "settings", "no echo"), READY + "frame native-outside drop-1 say drop-1 run_well",
            put(origin, "_beside_client_request", beside_although_owed)),
    Finding("E67", "the end of an unannounced answer behind a call ends the next request",
            ("openai", "session.update", "no created"),
            "dialled-1 close-1 dialled-2 created-2 take-2-message frame speech-2 say stop-2 take-2-message fire-commit "
            "take-2-call+first step-2-False commit-2 unannounced-2-text+only end-2 run_silent",
            put(turn.Turn, "note_output", lambda *_args: None)),
    Finding("E68", "a client's own response that has not ended keeps a request off, and its end is not noticed",
            ("openai", "settings", "no created"),
            READY + "say take-1-message take-1-message frame native-outside inject-queue fail-1-incomplete "
            "take-1-written step-1-True step-1-True step-1-True take-1-busy run_well",
            put(turn.Turn, "ends_unseen", lambda *_args: False)),
    Finding("E69", "an answer to speech covers a function's output that the upstream may lack",
            ("converse", "settings", "no created"),
            "dialled-1 created-1 take-1-message think inject-default refuse-1 say take-1-message take-1-message "
            "step-1-True step-1-True step-1-True step-1-True frame take-1-message take-1-call+first step-1-False "
            "answer-call~102 speech-1 stop-1 commit-1 own-1-call frame speech-1 step-1-False run_silent",
            put(response_begin, "_end_what_speech_answers", gives_up(lambda request: request.is_presumed))),
    Finding("E70", "speech interrupts a client's own response outside the conversation",
            ("openai", "session.update", "no created"),
            "dialled-1 created-1 take-1-message fire-rollover dialled-2 created-2 take-2-message "
            "native-response.create native-outside take-2-words+first step-2-False frame step-2-False step-2-False "
            "speech-2 stop-2 commit-2 own-2-call run_well",
            put(barge_in, "_stop_response", stop_also_outside)),
    Finding("E71", "the turn of an interrupted verbatim text does not end when its request is refused",
            ("openai", "session.update", "no created"),
            "dialled-1 created-1 take-1-message say take-1-message take-1-message step-1-False step-1-False "
            "step-1-False step-1-False speak take-1-message dialled-2 native-conversation.item.create close-2 say "
            "inject-queue frame fire-rollover take-1-message dialled-3 take-1-message take-1-message take-1-item+only "
            "step-1-False speech-1 take-1-busy created-3 take-3-message run_silent",
            put(response_requests, "end_turn", lambda _context: None)),
    Finding("E72", "the refusal of a later item ends a question that waits for it at another upstream", AS_IS,
            LATE_ITEM, put(pending.PendingResponses, "refuse", drop_gated)),
    Finding("E73", "a client's own request that speech interrupted is lost with its upstream", OPENAI,
            SAID + "native-outside frame speech-1 close-1 run_well",
            put(barge_in, "_stop_response", stop_also_outside)),
    Finding("E74", "a response is requested to a question that was refused behind its deadline",
            ("converse", "settings", "no created"),
            "dialled-1 say close-1 dialled-2 created-2 take-2-message speak fire-item_ack refuse-2 run_well",
            put(pending.PendingResponses, "refuse", drop_gated)),
    Finding("E75", "a late answer to a commit takes the speech behind the commit", MANUAL,
            READY + "frame force fire-commit frame take-1-message fire-manual~commit",
            put(Microphone, "commit", commit_as_detected)),
    Finding("E76", "the next upstream gets a client's own commit behind speech, and nobody requests the answer", MANUAL,
            READY + "native-input~audio~buffer.commit frame close-1 run_well",
            put(takeover, "replay_audio", replay_and_request_nothing)),
    Finding("E77", "nobody answers speech whose commit a lost upstream had lost", MANUAL,
            READY + "frame fire-manual~commit fire-rollover drop-1 run_well",
            put(takeover, "replay_audio", replay_and_request_nothing)),
    Finding("E78", "an urgent text cancels a client's own request outside the conversation", OPENAI,
            READY + "native-outside inject-interrupt close-1 run_well", put(injection, "_inject", inject_and_replace)),
    Finding("E79", "a client's own request beside a function call is lost with its upstream", OPENAI,
            READY + "say take-1-message take-1-call step-1-False step-1-False step-1-False native-outside "
            "fire-first~event run_well", put(restart, "interrupt_work", interrupt_also_outside)),
    Finding("E80", "an answer to speech beside a client's own request is lost with its upstream", OPENAI,
            READY + "native-outside frame speech-1 stop-1 commit-1 own-1-message close-1 run_well",
            put(restart, "interrupt_work", interrupt_and_forget_beside)),
    Finding("E81", "the refusal of a later item ends a question that was spoken at an earlier upstream", AS_IS,
            HEARD + "native-conversation.item.create close-1 dialled-2 created-2 take-2-message take-2-message "
            "refuse-2 run_well", put(pending.PendingResponses, "refuse", drop_gated)),
)  # fmt: skip


def is_found(finding: Finding, seconds: float = 20.0) -> str:
    """Return the violation that its walk, or a search, meets when the mending is undone; "" if there is none."""
    assert finding.root in ROOTS
    with finding.undo():
        if finding.walk:
            return breaks(finding.root, actions_of(finding.walk))[0]
        found = Search(finding.root, max_found=1).run(seconds).found
        return found[0].words if found else ""


def main() -> int:
    """Print each finding. Return 1 if the explorer does not find one of them again."""
    missed = 0
    for finding in FINDINGS:
        sound = breaks(finding.root, actions_of(finding.walk))[0]
        words = is_found(finding)
        missed += not words or bool(sound)
        print(f"{'found ' if words else 'MISSED'}  {finding.number:3} {finding.words}: {words[:80]} {sound}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
