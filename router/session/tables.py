"""The types of the session's tables: rows and joint rules.

A table maps each input that a state accepts to a row. A row pairs a handler with the next state. A handler returns None
to enter that state. If it returns another state, the session enters that other state, which the row has to list: so the
tables show every transition. A joint rule pairs a condition over several tables with a handler and a next state.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, Never, TypeAlias, TypeVar

from router.errors import RouterError

if TYPE_CHECKING:
    from router.session.context import Context

S = TypeVar("S", bound=enum.Enum)
"""The states of one table."""

I = TypeVar("I")  # noqa: E741 - the input of one row


class IllegalTransition(RouterError):  # noqa: N818 - not an error of a peer: a bug
    """A handler chose a state that its row does not list. This is a bug, and ends the session."""

    def __init__(self, handler: str, state: enum.Enum) -> None:
        super().__init__(handler, state)
        self.handler = handler
        self.state = state

    def __str__(self) -> str:
        return f"the handler {self.handler} chose {self.state.name}, which its row does not list"


class Row(Generic[S]):
    """The transition that one input causes in one state."""

    __slots__ = ("handler", "instead", "kind", "next_state", "state")

    def __init__(
        self, kind: type, handler: Callable[[Context, Never], S | None], state: S, next_state: S, instead: tuple[S, ...]
    ) -> None:
        self.kind = kind
        self.handler = handler
        """A handler of inputs of `kind`, which `on` checks.

        The inputs have the type `Never` here, because the rows of a table have different types of inputs.
        """
        self.state = state
        self.next_state = next_state
        self.instead = instead
        """The states that the handler may choose instead."""

    def chosen(self, state: S) -> S:
        """Return the state that the handler chose.

        Raises:
            IllegalTransition: the row does not list that state.
        """
        if state is not self.next_state and state not in self.instead:
            raise IllegalTransition(self.handler.__name__, state)
        return state


Table: TypeAlias = Mapping[type, Row[S]]
Entry: TypeAlias = Callable[[S], Row[S]]
"""A function that makes a row for a state, because several states may share the row."""


def on(
    kind: type[I],
    handler: Callable[[Context, I], S | None],
    next_state: S | None = None,
    *,
    may_stay: bool = False,
    instead: tuple[S, ...] = (),
) -> Entry[S]:
    """Return the entry of an input, which makes its row for a state.

    Without `next_state` the state stays. `may_stay` lets the handler keep the state in a row with a `next_state`.
    `instead` lists further states that the handler may choose.
    """

    def entry(state: S) -> Row[S]:
        choices = (state, *instead) if may_stay else instead
        return Row(kind, handler, state, state if next_state is None else next_state, choices)

    return entry


def rows(state: S, *entries: Entry[S]) -> Table[S]:
    """Return the table of one state. A later row replaces an earlier one of the same input."""
    made = (entry(state) for entry in entries)
    return {row.kind: row for row in made}


class Rule(Generic[S]):
    """A joint rule: the transition that a condition over several tables causes."""

    __slots__ = ("handler", "holds", "may_stay", "next_state", "state")

    def __init__(
        self,
        holds: Callable[[Context], bool],
        handler: Callable[[Context], S | None],
        *,
        state: S | None = None,
        next_state: S | None = None,
        may_stay: bool = False,
    ) -> None:
        self.holds = holds
        self.handler = handler
        self.state = state
        """The state in which the rule applies. It belongs to the table that the rule changes.

        A rule without a state changes no table.
        """
        self.next_state = next_state
        self.may_stay = may_stay
        """Whether the handler may keep the state."""

    def chosen(self, state: S) -> S:
        """Return the state that the handler chose.

        Raises:
            IllegalTransition: the rule does not list that state.
        """
        if state is not self.next_state and not (self.may_stay and state is self.state):
            raise IllegalTransition(self.handler.__name__, state)
        return state
