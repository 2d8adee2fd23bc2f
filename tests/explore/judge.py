"""The judge: it checks the invariants of a session from what its peers see. docs/invariants.md numbers them."""

import re
from typing import Any

from router.config.model import Deadlines
from tests.explore.evidence import UNCOMMITTED, Evidence
from tests.explore.knowledge import text_of
from tests.explore.responses import Response
from tests.explore.upstream import AUDIO_MS, CAUSE, is_of_client
from tests.explore.violation import require

CALL = re.compile(r"call_\d+")
TOOL_ANSWER_S = Deadlines().tool_answer_s
ENDS_COMMITS = frozenset({"input_audio_buffer.committed", "input_audio_buffer.speech_started"})
"""Events that answer all commits by hand before them, or that begin other speech."""


class Judge(Evidence):
    """The checks of the invariants, from the evidence and from each message on the wire."""

    # The end of a response.

    def ends(self, response: Response, generation: int, status: str) -> None:
        """Judge the audio of a response that ends, and record its end."""
        if not (response.is_of_client or response.is_outside):
            self._judge_audio(response, status)
        super().ends(response, generation, status)

    def _judge_audio(self, response: Response, status: str) -> None:
        for text in response.spoken_texts if status == "completed" else ():
            is_heard = text in self.heard | self.interrupted | self.rejected
            require(is_heard or self.has_waiting_audio, f"v no audio of {text!r} reached the client")
            self.unheard += [] if is_heard else [text]
        self.heard.difference_update(response.texts)

    # What the session sends.

    def sent_to_client(self, message: dict[str, Any]) -> None:
        """Judge a message to the client."""
        require(not self.has_ended, f"xi {message['type']} after the end")
        handler = getattr(self, f"_sent_{message['type']}", None)
        if handler is not None:
            handler(message)

    def _sent_ConversationText(self, message: dict[str, Any]) -> None:  # noqa: N802 - a message's name
        text = message["content"]
        if text in self.own_texts:
            require(text not in self.texts, f"v the client received {text!r} twice")
            self.texts.append(text)
            self.missing = [it for it in self.missing if it != text]
            return
        self.knowledge.tell(message["role"], text)
        if message["role"] != "assistant" or text.startswith("Function call"):
            return
        # Of an answer that was cut, the client receives the heard words.
        whole = next((it for it in self.known_texts & self.knowledge.cut if it.startswith(text)), text)
        require(whole in self.known_texts | self.given_texts, f"v the client received {text!r}, which no response has")
        # The heard words of two answers may be the same.
        cut = sum(it.startswith(text) for it in self.known_texts & self.knowledge.cut)
        require(self.texts.count(text) < max(cut, 1), f"v the client received {text!r} twice")
        first = self.first_texts.get(text, text)
        is_first = first in {text, *self.texts} | self.knowledge.cut | self.interrupted
        require(is_first, f"v the client received {text!r} before {first!r}")
        self.texts.append(text)
        self.injected -= self.injected and text in self.given_texts
        if text in self.missing:
            self.missing.remove(text)
        self.is_output_open = True
        self.shown.add(whole)

    def _active_texts(self) -> set[str]:
        """Return the texts of the active responses."""
        return {text for it in self.active.values() for text in it.texts}

    def _sent_AgentStartedSpeaking(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.is_output_open = True

    def _sent_AgentAudioDone(self, _message: dict[str, Any]) -> None:  # noqa: N802
        require(self.turns > 0, "iv AgentAudioDone without a turn")
        inside = self.shown & self._active_texts() - self.interrupted
        require(not inside, f"iv AgentAudioDone inside {inside}")
        require(not self.missing or bool(self.shown) or self.is_holding, f"iv AgentAudioDone before {self.missing}")
        self.is_output_open = False
        self.turns = self.turns - 1 if self.is_holding else len(self.active) + len(self.asks) + len(self.statements)
        self.shown = set()

    def _sent_UserStartedSpeaking(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.voices += 1
        self.silenced |= self._active_texts() | (self.voiced & self.known_texts)

    def _sent_FunctionCallRequest(self, message: dict[str, Any]) -> None:  # noqa: N802
        for call in message["functions"]:
            require(call["id"] not in self.calls, f"vii the call {call['id']} is requested twice")
            self.calls[call["id"]] = "requested"
            self.called_s[call["id"]] = self.now_s

    def _sent_FunctionCallCancelled(self, message: dict[str, Any]) -> None:  # noqa: N802
        for call in message["functions"]:
            self.calls[call["id"]] = "cancelled"

    def _sent_LatencyReport(self, message: dict[str, Any]) -> None:  # noqa: N802
        latency_s, since_s = message.get("total_latency") or 0.0, min((it[1] for it in self.clocks), default=0.0)
        is_possible = self.is_excused or not since_s or latency_s < self.now_s - since_s + 0.001
        require(is_possible, f"xiii a latency of {latency_s:.0f} s, and the question is newer")
        # A given text waits for the end of the turn before it.
        owed = {it.text for it in self.owed} | (self.given_texts - set(self.texts))
        self.clocks = [it for it in self.clocks if it[0] in owed]

    def _sent_InjectionRefused(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.injected -= 1

    def _sent_UtteranceEnd(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.is_utterance_due = False

    def _sent_PromptUpdated(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.updates -= 1

    def _sent_SpeakUpdated(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.updates -= 1

    def _sent_ThinkUpdated(self, _message: dict[str, Any]) -> None:  # noqa: N802
        self.updates -= 1

    def _sent_SettingsApplied(self, _message: dict[str, Any]) -> None:  # noqa: N802
        # The first one acknowledges the configuration, and the others the client's own updates.
        self.updates -= self.is_configured
        self.is_configured = True

    def _sent_Error(self, message: dict[str, Any]) -> None:  # noqa: N802
        self.has_explained, self.is_refusal_due, self.is_replacing = True, False, False
        if message["code"] == "UPDATE_NOT_APPLIED" or (self.refusing or {}).get("type") == "session.update":
            self.updates -= 1
        elif self.refusing is None:
            self.unsent.clear()
        else:
            self._forgive(self.refusing)

    def _forgive(self, event: dict[str, Any]) -> None:
        """Forgive the question that a refused event was about. Every other question stays open."""
        item = event.get("item") or {"type": ""}
        if item["type"] in ("message", "function_call_output"):
            asked = text_of(item) if item["type"] == "message" else item["call_id"]
            self.owed = [it for it in self.owed if it.text != asked]
        elif event["type"] == "response.create" and (event.get("response") or {}).get("conversation") == "none":
            self.injected -= not is_of_client(event)
        elif event["type"] == "response.create":
            # The response would have answered the whole conversation.
            self._forgive_all()

    def _forgive_all(self) -> None:
        self.owed = [it for it in self.owed if it.text == UNCOMMITTED]

    def _sent_Warning(self, message: dict[str, Any]) -> None:  # noqa: N802
        self.has_explained, self.is_warning_due = True, False
        if message["code"] == "FUNCTION_CALL_FAILED":
            for call_id in CALL.findall(message["description"]):
                require(call_id in self.calls, f"i {call_id} is given up before the client is asked to run it")
                since_s = self.now_s - self.called_s[call_id]
                require(since_s >= TOOL_ANSWER_S, f"i {call_id} is given up {since_s:.0f} s after its request")
            for call_id in [call for call, state in self.calls.items() if state == "requested"]:
                self.calls[call_id] = "cancelled"

    def sent_audio(self, text: str) -> None:
        """Judge audio to the client. `text` is that of the message to which the audio belongs."""
        require(not self.has_ended, "xi audio after the end")
        require(text not in self.silenced, f"v audio of {text!r} behind its interruption")
        is_ahead = text not in self.worded or self.is_holding or text in self.texts
        require(is_ahead, f"v audio of {text!r} before its text")
        self.is_output_open = True
        self.shown.add(text)
        self.heard.add(text)
        self.unheard = [it for it in self.unheard if it != text]

    def sent_upstream(self, event: dict[str, Any], generation: int) -> None:
        """Judge an event to an upstream."""
        require(not self.has_ended, f"xi {event['type']} after the end")
        kind = event["type"]
        if kind in self.unsent:
            self.unsent.remove(kind)
        if kind == "input_audio_buffer.append":
            self.early_frames = 0
            is_cleared = self.is_cleared or self._is_clear_lost_with(generation)
            is_replay = is_cleared and generation not in self.appended_to and not self.has_lost_clear
            require(not is_replay, "viii the next upstream gets audio that the client cleared")
            self.appended_to.add(generation)
            # The clear on its way does not concern audio, or silence, behind it.
            self.is_clearing = False
        if kind.startswith("input_audio_buffer."):
            self.is_clear_newest = kind == "input_audio_buffer.clear"
        if kind == "input_audio_buffer.clear":
            before = frozenset(it for number, it in self.committed_at if number == generation)
            self.clears.append((generation, before, event["event_id"]))
        if is_of_client(event):
            self.own.append(generation)
            self.own_lost -= self.own_lost > 0
        if kind == "response.create" and (event.get("response") or {}).get("conversation") != "none":
            # The outputs of its calls are the end of a response that was not announced.
            active = [it for it in self.active.values() if not (it.is_brief and it.has_called)]
            require(not active, "iii a response is requested while another is active")
            require(generation not in self.asks, "iii a response is requested while another is requested")
            self.asks.append(generation)
            self.is_request_due = False
            is_early = generation in self.speaking and not self.is_excused
            require(not is_early, "ii a response is requested while the user speaks")
            is_open = self.answers < self.questions > self.refusals
            is_wanted = self.owed or self.is_excused or is_open
            require(bool(is_wanted), "ii a response is requested, and no question is open")
        if kind == "session.update" and event.get("event_id") is not None:
            key = (generation, str(event["event_id"]))
            require(key not in self.updating, "ii an upstream is configured twice at once")
            self.updating.add(key)
        if kind == "input_audio_buffer.commit":
            named = str(event.get("event_id"))
            self._commits(named, generation)
            self.committed_at.add((generation, named))
            self.unanswered_commits += [named] if named not in self.unanswered_commits else []
        self.turns += kind == "response.create" and not is_of_client(event)
        if (event.get("response") or {}).get("conversation") == "none" and not is_of_client(event):
            self.statements.append(generation)
        self.knowledge.sent_upstream(event, generation)
        if kind == "conversation.item.create":
            self._judge_item(event["item"], generation)
        elif kind == "conversation.item.truncate":
            played = self.played_ms.get(str(event["item_id"]), 0)
            require(0 < event["audio_end_ms"] <= played, f"vi {event['audio_end_ms']} ms heard of {played} ms sent")

    def _commits(self, commit_id: str, generation: int) -> None:
        is_new = all(it[1] != commit_id for it in self.committed_at)
        if is_new and self.own_commits:
            self.own_commits -= 1
            self.own_commit_ids.add(commit_id)
            self.forgets_audio()
        elif self.is_manual and (self.has_uncommitted or commit_id not in self.own_commit_ids):
            # Another upstream gets the client's own commit behind all audio, also that for which a pause is due.
            self.commits_audio(commit_id, generation)

    def _judge_item(self, item: dict[str, Any], generation: int) -> None:
        if item["type"] == "function_call":
            self.known_calls.add((generation, item["call_id"]))
        elif item["type"] == "function_call_output":
            key = (generation, item["call_id"])
            require(key in self.known_calls, f"vii the output of {key} without its call")
            require(key not in self.outputs, f"vii the output of {key} is sent twice")
            self.outputs.add(key)

    def upstream_calls(self, call_id: str, generation: int) -> None:
        """Record a call of an upstream."""
        self.known_calls.add((generation, call_id))

    def upstream_words(self, text: str) -> None:
        """Record that the session received words of a response."""
        if text in self.known_texts - self.interrupted:
            self.worded.add(text)

    def upstream_speaks(self, item_id: Any, text: str, length_ms: int) -> None:
        """Record that the session received audio of an item, and the text of the item's response."""
        if self.has_waiting_audio or length_ms > AUDIO_MS:
            self.voiced.add(text)
        self.played_ms[str(item_id)] = self.played_ms.get(str(item_id), 0) + length_ms

    def is_repeated_clear(self, event: dict[str, Any], generation: int) -> bool:
        """Whether an event acknowledges a clear again, so that it has no effect. Record the acknowledgement."""
        if event["type"] != "input_audio_buffer.cleared":
            return False
        due = next((it for it in self.clears if it[0] == generation), None)
        if due is None:
            return True
        self.clears.remove(due)
        # An upstream handles events in their order, so a commit behind the clear is still to be answered.
        self.unanswered_commits = [it for it in self.unanswered_commits if it not in due[1]]
        return False

    def upstream_ends_commit(self, event: dict[str, Any]) -> None:
        """Record an event after which the session must not repeat the commit by hand."""
        if event["type"] in ("input_audio_buffer.committed", "input_audio_buffer.cleared"):
            self.is_voice_shown = self.is_replayed = False
        named = str(event.get(CAUSE))
        if event["type"] in ENDS_COMMITS:
            self.unanswered_commits.clear()
        if event["type"] == "error" and "event_id" not in event["error"] and named in self.unanswered_commits:
            # Nothing tells that the upstream lost the commits before.
            del self.unanswered_commits[0]
        elif named in self.unanswered_commits:
            # An upstream answers in the order of the events, so it has lost the commits and clears before the refused
            # commit.
            del self.unanswered_commits[: self.unanswered_commits.index(named) + 1]
            self.clears = [it for it in self.clears if named in it[1]]

    def upstream_answers_update(self, event: dict[str, Any], generation: int) -> None:
        """Record that an upstream answers a session.update."""
        if event["type"] == "session.updated":
            self.updating = {it for it in self.updating if it[0] != generation}
        self.updating.discard((generation, str(event.get(CAUSE))))

    def refused(self, generation: int, event: dict[str, Any]) -> None:
        """Record that an upstream refused an event, or lost it."""
        if event["type"] == "response.create" and generation in self.asks:
            self.asks.remove(generation)
            self.cuts_next = False
        if is_of_client(event):
            self._forget_own(generation)
        elif event["type"] == "response.create" and (event.get("response") or {}).get("conversation") == "none":
            self._forget_statement(generation)

    def refuses_question(self, event: dict[str, Any]) -> None:
        """Record that the upstream in use refused a question. No response may be requested to it."""
        item = event.get("item") or {"type": ""}
        is_question = item["type"] == "message" and text_of(item) in {it.text for it in self.owed}
        self.refusals += is_question and not self.asks and not self.active

    def refuses_clear(self, event: dict[str, Any]) -> None:
        """Record that an upstream refused a clear. It handles events in order, so it has lost the clears before."""
        ids = [it[2] for it in self.clears]
        if event["type"] == "input_audio_buffer.clear" and event["event_id"] in ids:
            self.clears = self.clears[ids.index(event["event_id"]) + 1 :]
            self.is_clearing &= bool(self.clears)
            self.is_clear_newest &= bool(self.clears)

    def _is_clear_lost_with(self, generation: int) -> bool:
        """Whether the upstream before this one was lost with a clear, and got no commit by hand before the clear.

        The next upstream gets the audio of such a commit. It may also get audio behind a clear of its own.
        """
        lost = [it for it in self.clears if it[0] != generation]
        return self.is_clear_newest and bool(lost) and not lost[-1][1] and len(lost) == len(self.clears)

    def lacks(self, generation: int, event: dict[str, Any]) -> None:
        """Record that a standby upstream refused an item. It gets the item again when it takes over."""
        if event["type"] == "conversation.item.create":
            self.outputs.discard((generation, str(event["item"].get("call_id"))))
            self.knowledge.lack(event["item"], generation)

    def takes_over(self, generation: int) -> None:
        """Judge the commits that an upstream received before it began to serve the session."""
        self.is_replayed = self.is_voice_shown and generation in self.appended_to and not self.unanswered_commits
        repeated = [it for it in self.unanswered_commits if (generation, it) in self.committed_at]
        require(
            not self.unanswered_commits or bool(repeated), "ii a commit by hand is not repeated at the next upstream"
        )
        self.unanswered_commits = repeated
        self.clears = [it for it in self.clears if it[0] == generation]

    def judge_conversation(self, generation: int) -> None:
        """Judge the conversation that an upstream received before it began to serve the session."""
        answered = {call for call, state in self.calls.items() if state == "answered"}
        lacking = answered - self.knowledge.refused - {call for number, call in self.outputs if number == generation}
        require(not lacking, f"viii the next upstream lacks the outputs of {lacking}")
        self.knowledge.judge(generation, must_have=set(self.texts) & self.completed)

    # What holds at any time, and at rest.

    def judge_rest(self) -> None:
        """Judge a world in which nothing happens any more."""
        if self.has_ended:
            require(self.is_client_gone or self.has_explained, "ii the session ended without a word")
            return
        require(not self.owed, f"i {[it.text for it in self.owed]} is owed, and nothing leads on")
        require(self.updates <= 0, "ii an update of the client's has no answer")
        require(not self.is_output_open, "iv a turn of the agent never ends")
        require(not self.missing, f"v {self.missing} never reached the client")
        require(not self.unheard, f"v no audio of {self.unheard} ever reached the client")
        requested = [call for call, state in self.calls.items() if state == "requested"]
        require(not requested, f"i {requested} wait without a deadline")

    def judge_well(self) -> None:
        """Judge a world that rests after both peers have done all that they owe."""
        require(not self.unsent, f"ii {self.unsent} of the client's own reached no upstream")
        require(not self.own_lost, "ii a client's own request is lost with its upstream")
        require(not self.early_frames, f"ii {self.early_frames} early frames reached no upstream")
        require(self.injected <= 0, "ii a given text is neither spoken nor refused")
