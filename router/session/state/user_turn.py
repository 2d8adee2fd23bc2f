"""The user's turns: the speech in progress, and the committed turns that are owed an answer.

`router.session.transitions.USER_TURN` has the rules. An upstream detects one speech at a time. It may owe answers to
several earlier turns, because it answers none while a response is active (upstream 4.3). A commit by hand is a
commit of the session or of the client itself. The upstream's detector sends all other commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.session import inputs
from router.session.state.queues import newest, without
from router.session.state.states import UserTurnState

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_OWED: Final = 8
"""The most turns that are owed an answer. One response answers all of them."""

MAX_UNANSWERED: Final = 8
"""The most unanswered commits and clears that are remembered."""

STOPPED_S: Final = 3.0
"""The gap in seconds between two microphone frames that shows a stopped microphone. No network causes such a gap."""

FILL_AFTER_S: Final = 0.3
"""The gap in seconds that shows a stopped microphone, if it has stopped before, as with push-to-talk."""


class UserTurn:
    """One turn of the user's."""

    __slots__ = ("asked_s", "commit_id", "is_behind_request", "is_detected", "is_replayed", "item_id", "phase")

    def __init__(self) -> None:
        self.phase = UserTurnState.IDLE
        self.item_id: str | None = None
        """The upstream's item, once the turn is committed. Some services leave its id out."""
        self.asked_s: float | None = None
        """The end of the speech: the answer's latency counts from here."""
        self.is_detected = False
        """The upstream has detected the speech."""
        self.is_replayed = False
        """Another upstream receives the speech again. The client knows its start."""
        self.is_behind_request = False
        """The turn was committed while a request was in flight. Its response may have begun before the commit."""
        self.commit_id: str | None = None
        """The commit by hand that has ended the turn, if the response in progress is the upstream's own.

        Otherwise the detector has ended it.
        """


class UserTurns:
    """The turns of one session. At most one turn is spoken at a time."""

    __slots__ = (
        "by_hand",
        "by_hand_id",
        "crossed",
        "current",
        "filled_s",
        "has_stopped_before",
        "is_ended_by_hand",
        "last_audio_s",
        "owed",
        "paused_s",
        "subject",
        "unanswered",
    )

    def __init__(self) -> None:
        self.current = UserTurn()
        self.owed: tuple[UserTurn, ...] = ()
        """Committed turns to which no response has begun, the oldest first."""
        self.subject = self.current
        """The turn whose state decides how the current input is handled."""
        self.unanswered: tuple[inputs.CommitSent | inputs.ClearSent, ...] = ()
        """The commits by hand and the clears that the upstream has not answered, in the order of the wire.

        The upstream handles them in this order, so its answer to one of them shows what became of those before it.
        """
        self.by_hand: UserTurn | None = None
        """The turn that the last commit by hand seemed to end. The upstream's detector may have ended it."""
        self.by_hand_id: str | None = None
        """The `event_id` of the last commit by hand."""
        self.crossed: inputs.CommitSent | None = None
        """The last commit by hand, if the answer to it may have been for the detector's commit.

        Then the upstream still has to answer this commit.
        """
        self.is_ended_by_hand = False
        """The session or the client committed, and the upstream has detected no speech since."""
        self.last_audio_s: float | None = None
        """The time of the last microphone frame, or of the silence that was sent in its place."""
        self.paused_s: float | None = None
        """The time since which the router does not read the client. Its frames wait in TCP, so a gap means nothing."""
        self.filled_s = 0.0
        """The seconds of silence that the session sent in place of the microphone since the speech began."""
        self.has_stopped_before = False
        """The microphone has stopped before: its client sends nothing between turns."""

    # Questions.

    @property
    def has_floor(self) -> bool:
        """Whether the user speaks, or has spoken and the speech is not committed yet."""
        phase = self.current.phase
        return phase in _SPOKEN or (phase is UserTurnState.COMMITTING and self.current.is_detected)

    @property
    def is_committing(self) -> bool:
        """Whether a commit of the session's or of the client's own is on its way."""
        return self.current.phase is UserTurnState.COMMITTING

    @property
    def commits(self) -> tuple[inputs.CommitSent, ...]:
        """The commits by hand that the upstream has not answered, the oldest first."""
        return tuple(it for it in self.unanswered if isinstance(it, inputs.CommitSent))

    @property
    def last_clear(self) -> inputs.ClearSent | None:
        """The newest clear of the client's that the upstream has not answered, or None."""
        return next((it for it in reversed(self.unanswered) if isinstance(it, inputs.ClearSent)), None)

    @property
    def asked_s(self) -> float | None:
        """The time at which the newest turn that is owed an answer ended; None if no turn is owed an answer."""
        return self.owed[-1].asked_s if self.owed else None

    @property
    def commit_ids(self) -> tuple[str, ...]:
        """The ids of the last answered commit by hand, and of the unanswered commits by hand."""
        sent = tuple(it.event_id for it in self.commits)
        return sent if self.by_hand_id is None else (self.by_hand_id, *sent)

    @property
    def fill_after_s(self) -> float:
        """The gap in seconds after which the microphone counts as stopped."""
        return FILL_AFTER_S if self.has_stopped_before else STOPPED_S

    def about(self, signal: object) -> Sequence[UserTurn]:
        """Return the owed turns that a signal is about: all of them, or at most one that was noise or ended by hand."""
        if isinstance(signal, inputs.AnswerRequested) and signal.commit_id is not None:
            return [turn for turn in self.owed if turn.commit_id == signal.commit_id]
        if not isinstance(signal, inputs.NoiseFound):
            return self.owed
        # aimock commits without an id, and some services transcribe without one (upstream 12.6).
        named = [turn for turn in self.owed if signal.item_id is None or turn.item_id in (signal.item_id, None)]
        return named[:1]

    # Changes.

    def record_audio(self, now_s: float) -> None:
        """Record a microphone frame.

        A long gap before the frame shows that the client's microphone stops between turns.
        """
        if self.last_audio_s is not None and now_s - self.last_audio_s > STOPPED_S:
            self.has_stopped_before = True
        self.last_audio_s = now_s

    def note_sent(self, sent: inputs.CommitSent | inputs.ClearSent) -> None:
        """Record a commit or a clear that is on its way."""
        self.unanswered = newest(self.unanswered, sent, MAX_UNANSWERED)

    def take_commit(self) -> inputs.CommitSent | None:
        """Remove and return the oldest commit that is on its way, or None.

        The clears before this commit stay, because the upstream may have reported a commit of its detector instead.
        """
        oldest = next(iter(self.commits), None)
        self.unanswered = without(self.unanswered, oldest)
        return oldest

    def take_clear(self) -> inputs.ClearSent | None:
        """Remove and return the oldest clear that is on its way, and remove all commits before it.

        The upstream has answered the commits before the clear, or lost them. Those after it are still to be answered.
        If no clear is on its way, remove nothing and return None.
        """
        for at, sent in enumerate(self.unanswered):
            if isinstance(sent, inputs.ClearSent):
                self.unanswered = self.unanswered[at + 1 :]
                return sent
        return None

    def withdraw_clear(self, event_id: str | None) -> bool:
        """Remove the clear with this id, which the upstream refused. Return whether there is one.

        The clears before it are lost. A commit before it stays, because its own deadline ends the wait for it.
        """
        at = next((at for at, it in enumerate(self.unanswered) if it.event_id == event_id), None)
        if at is None or not isinstance(self.unanswered[at], inputs.ClearSent):
            return False
        before = [it for it in self.unanswered[:at] if isinstance(it, inputs.CommitSent)]
        self.unanswered = (*before, *self.unanswered[at + 1 :])
        return True

    def withdraw_commit(self, event_id: str | None) -> bool:
        """Remove a commit that the upstream refused. If the error names no event, remove the oldest commit.

        The upstream has lost the commits and clears before a refused commit, and will not answer them. Return whether
        the refused commit is the commit that seemed to end the turn `by_hand`. If the error names no event, return
        whether no commit was on its way.
        """
        if event_id is None or (self.crossed is not None and self.crossed.event_id == event_id):
            self.crossed = None
        if event_id is None:
            return self.take_commit() is None
        refused = next((it for it in self.commits if it.event_id == event_id), None)
        if refused is not None:
            self.unanswered = self.unanswered[self.unanswered.index(refused) + 1 :]
        return event_id == self.by_hand_id

    def give_up_commits(self) -> None:
        """Await no answer to the commits that are on their way."""
        self.unanswered = tuple(it for it in self.unanswered if isinstance(it, inputs.ClearSent))

    def reopen_commit(self, sent: inputs.CommitSent) -> None:
        """Await the answer to a commit by hand again, because the answer so far was for the detector's commit."""
        reopened = inputs.CommitSent(sent.is_by_client, sent.event_id, is_reopened=True)
        self.unanswered = (reopened, *self.unanswered)[:MAX_UNANSWERED]

    def set_by_hand(self) -> None:
        """Record that a commit by hand seems to have ended the turn `subject`.

        If that turn is `current`, and IDLE already, a new turn takes its place, because the next speech or commit is
        not that turn's.
        """
        self.by_hand = self.subject
        if self.by_hand is self.current and self.current.phase is UserTurnState.IDLE:
            self.current = UserTurn()

    def forget_noise(self, item_id: str | None) -> None:
        """Forget the turn that a commit by hand seemed to end, if this item is its speech.

        The upstream answers no noise.
        """
        if self.by_hand is not None and item_id in (self.by_hand.item_id, None):
            self.by_hand = None

    def forget_commits(self) -> None:
        """Forget what a lost upstream did not answer, except the commit that the next upstream gets."""
        self.unanswered = self.commits[-1:] if self.is_committing else ()
        self.by_hand = self.by_hand_id = self.crossed = None

    def pause(self, now_s: float) -> None:
        """Stop measuring the time since the last microphone frame, because the router does not read the client."""
        self.paused_s = now_s

    def resume(self, now_s: float) -> None:
        """Measure the time since the last microphone frame again, without the pause."""
        if self.paused_s is not None and self.last_audio_s is not None:
            self.last_audio_s += now_s - self.paused_s
        self.paused_s = None

    def move_subject(self) -> None:
        """Move the turn whose state has just changed: into `owed` if it is owed an answer, or out of it if it is idle.

        If `current` is this turn and the turn is over, a new turn takes its place.
        """
        turn = self.subject
        if turn.phase is UserTurnState.AWAITING_ANSWER:
            self.owed = newest(self.owed, turn, MAX_OWED)
        elif turn.phase is UserTurnState.IDLE:
            self.owed = without(self.owed, turn)
        if turn is self.current and turn.phase in (UserTurnState.AWAITING_ANSWER, UserTurnState.IDLE):
            self.current = UserTurn()


_SPOKEN: Final = frozenset({UserTurnState.SPEAKING, UserTurnState.STOPPED})
