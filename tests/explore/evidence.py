"""The evidence of the judge: what both peers of a session have done and received.

It knows from the models which questions each response answers, and which text belongs to the response. It reads no
private state of the session.
"""

from typing import Any

from router.session.handlers.user_speech import MAX_FILLED_S
from tests.explore.knowledge import Knowledge
from tests.explore.responses import Response

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


class Evidence:
    """What the judge of one session knows: the client's questions, the responses, and what both peers received."""

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

    def _forget_own(self, generation: int) -> None:
        if generation in self.own:
            self.own.remove(generation)
        if generation in self.own_begun:
            self.own_begun.remove(generation)

    def _forget_statement(self, generation: int) -> None:
        if generation in self.statements:
            self.statements.remove(generation)
