"""The shortest walk that still breaks the rule, and its playbook."""

from __future__ import annotations

from typing import Any

import orjson

from actors import messages
from tests.explore.ends import ENDS
from tests.explore.search import Action, Found, shape_of
from tests.explore.violation import Violation
from tests.explore.world import World


def breaks(root: tuple[str, str, str], path: list[Action], *, record: bool = False) -> tuple[str, list[Any]]:
    """Return the violation that a walk meets, or an empty text, and the inputs so far. Leave out impossible actions."""
    world = World(*root)
    world.inputs = [] if record else None
    try:
        world.open()
        for action in path:
            if action[0] in ENDS:
                ENDS[action[0]](world)
            elif action in world.actions():
                world.act(action)
    except Violation as violation:
        return str(violation), world.inputs or []
    return "", world.inputs or []


def shortest(found: Found) -> Found:
    """Remove every action that the violation does not need."""
    path, wanted = list(found.path), shape_of(found.words)
    size = max(1, len(path) // 2)
    while size:
        at = 0
        while at < len(path):
            shorter = path[:at] + path[at + size :]
            if shape_of(breaks(found.root, shorter)[0]) == wanted:
                path = shorter
            else:
                at += size
        size //= 2
    return Found(found.root, path, breaks(found.root, path)[0] or found.words)


def playbook(found: Found) -> str:
    """Return the source of a test that repeats the walk."""
    _, inputs = breaks(found.root, found.path, record=True)
    profile, opening, quirk = found.root
    lines = [
        f"# {found.words}",
        f"# {profile}, opened by {opening}, quirk: {quirk}",
        f"# {' '.join('-'.join(str(part) for part in action) for action in found.path)}",
        f'playbook = Playbook("{profile}")',
    ]
    return "\n".join([*lines, *(_line_of(each) for each in inputs)])


def _line_of(message: messages.Input) -> str:
    match message:
        case messages.ClientTextReceived(text):
            return f"playbook.client({_shown(text)})"
        case messages.ClientBinaryReceived(data):
            return f"playbook.client(bytes({len(data)}))"
        case messages.UpstreamTextReceived(generation, text):
            return f"playbook.upstream({_shown(text)})  # of generation {generation}"
        case messages.UpstreamOpened():
            return "playbook.upstream_opens()"
        case messages.UpstreamLost(generation, loss, verdict):
            kind = f"Loss(kind={loss.kind}, code={loss.code}, cause={loss.cause!r})"
            return f"playbook.upstream_is_lost({kind}, {verdict.decision})  # of generation {generation}"
        case messages.TimerFired(name):
            return f"playbook.fire(Wait.{name.upper()})"
        case messages.ClientOpened():
            return "playbook.opened()"
    return f"playbook.feed({message})"


def _shown(text: str) -> str:
    shown = str(orjson.loads(text))
    return shown if len(shown) < 600 else f"{shown[:300]} ... {shown[-100:]}"  # audio
