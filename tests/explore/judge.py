"""The judge: it checks the invariants of a session from what its peers see. docs/invariants.md numbers them.

The judge knows from the models which questions each response answers, and which text belongs to the response. It reads
no private state of the session.
"""

import re
from typing import Any

from router.config.model import Deadlines
from router.session.handlers.user_speech import MAX_FILLED_S
from tests.explore.knowledge import Knowledge, text_of
from tests.explore.responses import Response
from tests.explore.upstream import AUDIO_MS, CAUSE, is_of_client
from tests.explore.violation import require

CALL = re.compile(r"call_\d+")
TOOL_ANSWER_S = Deadlines().tool_answer_s
ENDS_COMMITS = frozenset({"input_audio_buffer.committed", "input_audio_buffer.speech_started"})
"""Events that answer all commits by hand before them, or that begin other speech."""


UNCOMMITTED = "uncommitted audio"
"""The text of a question that is audio which no commit has ended yet, if no detector does."""


class Question:
    """A text, speech, or output of a function, to which the client is owed an answer."""

    def __init__(self, text: str, generation: int) -> None:
        self.text = text
        self.generation = generation
        """The generation that has the question as speech, or 0 for a text."""
        self.transcript = ""
        self.commit_id = ""
        """The id of the session's commit that ends the speech, until the upstream has taken the commit."""

    def is_answered_by(self, response: Response, generation: int) -> bool:
        """Whether the conversation of a response contained the question."""
        if self.text in response.answers or (self.transcript and self.transcript in response.answers):
            return True
        # The next upstream hears the speech again, under an id of its own.
        is_moved = self.generation not in (0, generation)
        return is_moved and any(text.startswith("user_") for text in response.answers)


class Judge:
    """The records of what both peers of one session have seen, and the checks of the invariants."""

    def __init__(self, *, is_manual: bool = False) -> None:  # noqa: PLR0915 - one account each
        self.is_manual = is_manual
        """No detector hears the audio, and the session commits it after a pause."""
        self.owed: list[Question] = []
        self.has_ended = False
        self.is_client_gone = False
        self.has_explained = False
        """The client received an Error or a Warning that explains the session's end."""
        self.is_output_open = False
        """The client received output of the agent's turn, but not the turn's end."""
        self.texts: list[str] = []
        """Every text of the agent that the client received."""
        self.missing: list[str] = []
        """Texts of completed responses that the client has not received."""
        self.calls: dict[str, str] = {}
        """The state of each call that the client was asked to run: requested, answered or cancelled."""
        self.called_s: dict[str, float] = {}
        """The time at which the client was asked to run each call."""
        self.outputs: set[tuple[int, str]] = set()
        """The outputs of functions that an upstream received, with its generation."""
        self.known_calls: set[tuple[int, str]] = set()
        self.played_ms: dict[str, int] = {}
        """The milliseconds of audio that the client received, by item."""
        self.completed: set[str] = set()
        """The texts of the responses that were completed."""
        self.known_texts: set[str] = set()
        """The texts of all responses so far."""
        self.first_texts: dict[str, str] = {}
        """The text of a response's first message, by the text of its second message."""
        self.given_texts: set[str] = set()
        """Verbatim texts: the texts that the agent was given to speak."""
        self.asks: list[int] = []
        """The generations of the response requests that have neither begun a response nor been refused."""
        self.begun: set[tuple[int, int]] = set()
        """The responses whose begin the session received, and not their end, as generation and number."""
        self.active: dict[tuple[int, int], Response] = {}
        """The same responses, by generation and number."""
        self.interrupted: set[str] = set()
        self.knowledge = Knowledge()
        self.turns = 0
        """The turns of the agent's that may still end: requested responses, and those that an upstream began."""
        self.is_holding = False
        """The session awaits transcripts, or audio waits, so the ends of several turns may wait."""
        self.has_waiting_audio = False
        """Audio waits, because the client has more than enough to play."""
        self.unheard: list[str] = []
        """Texts of completed responses whose audio waits behind other audio."""
        self.voiced: set[str] = set()
        """Texts of the messages of which audio may wait. An interruption drops that audio."""
        self.shown: set[str] = set()
        """Texts of the responses whose output the client received since the last AgentAudioDone."""
        self.silenced: set[str] = set()
        """Texts of the responses that were active, or whose audio waited, when the client was told to stop playing."""
        self.own_commit_ids: set[str] = set()
        self.own_commits = 0
        """The number of the client's own commits that no upstream has received."""
        self.has_own_commit = False
        """The client has committed by itself."""
        self.is_request_due = False
        """No upstream has received the client's own response.create behind its own commit, and no peer was at fault."""
        self.questions = self.answers = 0
        """The numbers of questions and answers so far. One answer may cover several questions."""
        self.refusals = 0
        """The number of questions that an upstream refused before a response was requested to them."""
        self.statements: list[int] = []
        """The generations of the requested responses outside the conversation that have not ended."""
        self.own: list[int] = []
        """The generations of the client's own requests outside the conversation whose responses have not ended."""
        self.own_begun: list[int] = []
        """The generations that have begun such a response and not ended it."""
        self.own_lost = 0
        """The number of these requests whose upstream was lost before it began the response."""
        self.own_texts: set[str] = set()
        """The texts of these responses. They are no turn of the agent's, and part of no conversation."""
        self.speaking: dict[int, float] = {}
        """The time at which the speech in progress began, by the generation that detected it."""
        self.has_missed_commit = False
        """The deadline of a commit expired, and no speech has begun since."""
        self.replaced: set[str] = set()
        """Texts of the responses that a verbatim text replaced. They answer no later question."""
        self.cuts_next = False
        """The user spoke while a response was requested, so the response is cancelled when it begins.

        If the speech was a noise and the response never begins, its question stays open.
        """
        self.is_replacing = False
        """A verbatim text is to be spoken in place of the answers that are about to begin."""
        self.is_cancelling = False
        """The client has sent a response.cancel of its own, which may meet any response."""
        self.broken: list[tuple[int, Response]] = []
        """Responses that failed or were lost. An interruption ends their continuation, too."""
        self.unsent: list[str] = []
        """OpenAI events of the client that no upstream has received."""
        self.updates = 0
        """The number of the client's updates that got neither an acknowledgement nor an Error."""
        self.is_configured = False
        """The client received SettingsApplied."""
        self.injected = 0
        """The number of verbatim texts that were neither sent to the client nor refused."""
        self.early_frames = 0
        """The number of microphone frames that wait for the first upstream. One event may carry all of them."""
        self.rejected: set[str] = set()
        """Texts of the responses that the session cancelled without an interruption. They answer nothing."""
        self.heard: set[str] = set()
        """Texts of the active responses whose audio the client received."""
        self.is_utterance_due = False
        """The client's component awaits the UtteranceEnd of speech that has just stopped."""
        self.is_clearing = self.is_cleared = False
        """The client clears its audio; the upstream has cleared it. Then no other upstream may receive it."""
        self.is_clear_newest = False
        """The last audio event that an upstream received is a clear, and the client has sent no audio behind it."""
        self.clears: list[tuple[int, frozenset[str], str]] = []
        """The clears that are not answered: generation, the ids of the commits before the clear, and the clear's id."""
        self.has_lost_clear = False
        """An upstream lost a clear. The session may take another acknowledgement for that of this clear."""
        self.appended_to: set[int] = set()
        """The generations that received audio."""
        self.is_excused = False
        """The client created a response or ended a turn itself, so not every response has to answer a question."""
        self.crossed = ("", 0)
        """The item that the detector committed while a commit by hand was on its way, and the generation."""
        self.crossed_words = ""
        """The transcript of that item."""
        self.is_warning_due = False
        """The transcript of an item failed, and the client is not warned yet."""
        self.is_refusal_due = False
        """An upstream refused an event, and the client has got no message about it yet."""
        self.refusing: dict[str, Any] | None = None
        """The event that an upstream is refusing. An Error of the session is about this event."""
        self.unanswered_commits: list[str] = []
        """The ids of the commits by hand that an upstream may still answer. The next upstream gets the last commit."""
        self.updating: set[tuple[int, str]] = set()
        """Each session.update without an answer, as its generation and its id."""
        self.committed_at: set[tuple[int, str]] = set()
        """Each commit that an upstream received, as its generation and its id."""
        self.voices = 0
        """The number of UserStartedSpeaking messages so far. A typed question causes one, too."""
        self.is_voice_shown = False
        """The client received UserStartedSpeaking for speech that is neither committed nor given up."""
        self.is_replayed = False
        """The upstream in use received replayed speech, whose begin the client knows, and has not detected it yet."""
        self.now_s = 0.0
        self.clocks: list[tuple[str, float]] = []
        """Each question or given text of the agent's turn, and its time. A noise is no question."""
        self.covered: set[str] = set()
        """The speech that responses have begun to answer. The upstream may have taken a noise for speech."""
        self.stopped_s = 0.0
        """The time at which speech stopped last."""
        self.worded: set[str] = set()
        """Texts of the responses of which the session received words. The client gets the words before the audio."""

    # What the client does.

    def asked(self, text: str, generation: int = 0) -> None:
        """Record a question."""
        self.owed.append(Question(text, generation))
        self.questions += 1
        self.clocks.append((text, self.stopped_s if generation else self.now_s))

    def sends_audio(self) -> None:
        """Record audio that no detector hears. The session has to commit the audio, and to request an answer."""
        if not self.has_uncommitted:
            self.owed.append(Question(UNCOMMITTED, 0))

    @property
    def has_uncommitted(self) -> bool:
        """Whether the client has sent audio that no detector hears, and that no commit has ended."""
        return any(it.text == UNCOMMITTED for it in self.owed)

    def forgets_audio(self) -> None:
        """Record that the client discards or commits its audio by itself."""
        self.owed = [it for it in self.owed if it.text != UNCOMMITTED]

    def commits_audio(self, commit_id: str, generation: int) -> None:
        """Record that the session commits audio that no detector hears. The audio is a question from now on.

        At another upstream the commit also ends the audio of the commits that the lost one did not take.
        """
        is_known = any(it.commit_id == commit_id for it in self.owed)
        self.owed = [it for it in self.owed if not it.commit_id or (generation, it.commit_id) in self.committed_at]
        self.forgets_audio()
        self.asked(commit_id)
        self.owed[-1].commit_id = commit_id
        if is_known:
            self.questions -= 1
            self.clocks.pop()

    def is_committed(self, commit_id: str, item: str, generation: int) -> None:
        """Record the item that an upstream made of the audio before a commit of the session's."""
        for question in self.owed:
            if question.commit_id == commit_id:
                question.text, question.generation, question.commit_id = item, generation, ""
        self.clocks = [(item if text == commit_id else text, at_s) for text, at_s in self.clocks]

    def loses_commit(self, event: dict[str, Any]) -> None:
        """Record that an upstream refused or lost an event. If it was a commit, its audio is no question yet."""
        self.owed = [it for it in self.owed if not it.commit_id or it.commit_id != event.get("event_id")]

    def interrupt(self) -> None:
        """Record an interruption by the user: the session need not send any text of the present responses."""
        self.interrupted |= self.known_texts
        self.missing.clear()
        self.unheard.clear()
        self.injected = 0
        self.knowledge.cut |= self.known_texts | self.given_texts

    def cut_off(self) -> None:
        """Record that the user's voice cuts the agent off. An answer that has begun ends with its heard words."""
        self.interrupt()
        self.is_replacing = False
        self.cuts_next = bool(self.asks)
        for generation, response in [*((key[0], it) for key, it in self.active.items()), *self.broken]:
            self.owed = [it for it in self.owed if not it.is_answered_by(response, generation)]

    def expires(self, name: str, now_s: float) -> None:
        """Record the expiry of a deadline after which the session takes speech for a noise."""
        self.has_missed_commit |= name == "commit"
        if name == "commit":
            self.unanswered_commits.clear()
        if name in ("commit", "speech"):
            self.is_voice_shown = self.is_replayed = False
        longest_s = {"speech": 0.0, "commit": MAX_FILLED_S}.get(name)
        if longest_s is not None:
            self.speaking = {it: since_s for it, since_s in self.speaking.items() if now_s - since_s < longest_s}

    def is_not_by_hand(self, generation: int) -> None:
        """Record that an upstream refuses a commit by hand, because the detector's commit had already made the turn."""
        item, there = self.crossed
        if item and there == generation:
            self.asked(item, generation)
            self.owed[-1].transcript = self.crossed_words
        self.crossed, self.crossed_words = ("", 0), ""

    def is_noise(self, item: str) -> None:
        """Record that speech has no words. It needs no answer, whichever commit made its turn."""
        self.owed = [it for it in self.owed if it.text != item]
        if item not in self.covered:
            self.clocks = [it for it in self.clocks if it[0] != item]
        if self.crossed[0] == item:
            self.crossed = ("", 0)

    def is_transcribed(self, item: str) -> None:
        """Record the transcript of speech. A turn whose commit crossed one by hand may become a question later."""
        words = f"Said {item}."
        for question in self.owed:
            question.transcript = words if question.text == item else question.transcript
        self.crossed_words = words if self.crossed[0] == item else self.crossed_words

    def replace(self) -> None:
        """Record that a verbatim text replaces every answer that is active or about to begin: rule REPLACED."""
        self.interrupt()
        self.is_replacing = self.is_excused = True
        self._forgive_all()

    # What the upstream does.

    def begins(self, response: Response) -> None:
        """Record that an upstream begins a response."""
        if response.is_of_client:
            self.own_texts.add(response.text)
            self.own_begun.append(response.number // 100)
            return
        if response.is_outside:
            self.is_replacing = False
            return
        self.known_texts.update(response.texts)
        self.first_texts |= dict.fromkeys(response.texts[1:], response.text)
        if self.cuts_next and not response.is_own:
            self.cuts_next = False
            self.interrupted.update(response.texts)
            self.knowledge.cut.update(response.texts)
            self.owed = [it for it in self.owed if not it.is_answered_by(response, it.generation)]
        if self.is_replacing:
            self.interrupted.update(response.texts)
            self.replaced.update(response.texts)
            self.knowledge.cut.update(response.texts)

    def is_seen(self, response: Response, generation: int) -> None:
        """Record that the session received an event of a response."""
        if response.is_outside or (generation, response.number) in self.begun:
            return
        self.begun.add((generation, response.number))
        self.covered |= response.answers
        self.active[generation, response.number] = response
        self.turns += generation not in self.asks
        if response.is_own and not any(it.is_answered_by(response, generation) for it in self.owed):
            # A turn that the upstream begins, say because of a noise, begins with its response.
            self.clocks.append((response.text, self.now_s))
        if generation in self.asks:
            self.asks.remove(generation)

    def ends(self, response: Response, generation: int, status: str) -> None:
        """Record the end of a response, and the questions that it answers."""
        if response.is_of_client:
            self._forget_own(generation)
            # A repeated end, or one without response.created, is nothing that the session could tell.
            if status == "completed" and response.text not in self.texts:
                self.missing.append(response.text)
            return
        if response.is_outside:
            self._forget_statement(generation)
            return
        if (generation, response.number) not in self.begun and generation in self.asks:
            self.asks.remove(generation)  # it ends without having begun
        self.begun.discard((generation, response.number))
        self.active.pop((generation, response.number), None)
        if status != "completed":
            self.knowledge.cut.update(response.texts)
        # After a call the answer is still to come. An incomplete one is explained by a Warning.
        if status == "completed":
            self.completed.update(response.texts)
        self._judge_audio(response, status)
        # Where the client has not interrupted it, a cancelled response is no answer.
        is_wanted = self.is_cancelling or response.text in self.interrupted - self.replaced
        is_over = status == "incomplete" or (status == "cancelled" and is_wanted)
        # The session takes a cancel without its reason for a failure, and may ask again.
        self.questions += status == "cancelled" and not response.is_cancelled
        if status == "failed" or (status == "cancelled" and not is_over):
            self.broken.append((generation, response))
        is_cut = is_over and not response.has_called
        is_final = is_cut or (status == "completed" and not response.calls)
        is_rejected = response.text in self.rejected - self.interrupted
        self.rejected.difference_update(response.texts)
        if is_rejected:
            return
        if is_final:
            self.answers += 1
            self.owed = [it for it in self.owed if not it.is_answered_by(response, generation)]
        if status == "completed":
            self.missing += [it for it in response.said_texts if it not in {*self.texts, *self.interrupted}]

    def _judge_audio(self, response: Response, status: str) -> None:
        for text in response.spoken_texts if status == "completed" else ():
            is_heard = text in self.heard | self.interrupted | self.rejected
            require(is_heard or self.has_waiting_audio, f"v no audio of {text!r} reached the client")
            self.unheard += [] if is_heard else [text]
        self.heard.difference_update(response.texts)

    def rejects(self, response: Response) -> None:
        """Record that the session cancels a response."""
        self.rejected.update(response.texts)

    def is_late_cancelled(self, response: Response, generation: int) -> None:
        """Record that a response which a lost upstream had begun was cancelled, if the client itself wanted that."""
        if self.is_cancelling:
            self.owed = [it for it in self.owed if not it.is_answered_by(response, generation)]

    def loses(self, generation: int) -> None:
        """Record the loss of an upstream."""
        lost = [it for key, it in self.active.items() if key[0] == generation]
        self.knowledge.cut |= {text for it in lost for text in it.texts} | self.given_texts
        self.broken += [(generation, it) for it in lost]
        for response in lost:
            if response.has_said and not response.has_called:
                # Only the end of the answer is missing.
                self.owed = [it for it in self.owed if not it.is_answered_by(response, generation)]
        self.speaking.pop(generation, None)
        self.statements = [it for it in self.statements if it != generation]
        self.own_lost += max(self.own.count(generation) - self.own_begun.count(generation), 0)
        self.own = [it for it in self.own if it != generation]
        self.own_begun = [it for it in self.own_begun if it != generation]
        self.begun = {it for it in self.begun if it[0] != generation}
        self.active = {key: it for key, it in self.active.items() if key[0] != generation}
        self.cuts_next &= generation not in self.asks
        self.asks = [it for it in self.asks if it != generation]
        self.missing.clear()  # the next upstream repeats or continues the answer

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

    def _forget_own(self, generation: int) -> None:
        if generation in self.own:
            self.own.remove(generation)
        if generation in self.own_begun:
            self.own_begun.remove(generation)

    def _forget_statement(self, generation: int) -> None:
        if generation in self.statements:
            self.statements.remove(generation)

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
