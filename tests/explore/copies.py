"""Copies of a world: a world as bytes, without the parts that never change."""

from __future__ import annotations

import copyreg
import io
import pickle
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from router.deepgram.messages import Settings
from router.session import transitions
from router.session.options import SessionOptions
from router.session.profile import Profile
from router.session.tables import Row

if TYPE_CHECKING:
    from tests.explore.world import World

_UNCHANGED = (SessionOptions, Profile, Row, Settings, MappingProxyType)
"""The types whose objects never change. The only mapping proxy of a session is the empty one."""

_SHARED: dict[int, Any] = {}


def _share(value: Any) -> Any:
    _SHARED[id(value)] = value
    return _shared, (id(value),)


def _shared(number: int) -> Any:
    return _SHARED[number]


class _Pickler(pickle.Pickler):
    """A pickler that shares the parts of a session that never change."""

    dispatch_table = copyreg.dispatch_table | dict.fromkeys(_UNCHANGED, _share)


def frozen(world: World) -> bytes:
    """Return a copy of a world, as bytes."""
    world.session._rows = {}  # it follows from the state, and is long
    buffer = io.BytesIO()
    _Pickler(buffer, 5).dump(world)
    _restore(world)
    return buffer.getvalue()


def thawed(copy: bytes) -> World:
    """Return the world of a copy."""
    world: World = pickle.loads(copy)  # noqa: S301 - our own bytes
    _restore(world)
    return world


def _restore(world: World) -> None:
    world.session._rows = transitions.LIFECYCLE[world.session.state.lifecycle]
