"""Mutations of JSON messages: of single fields, types and ids, and of texts and bytes at any place."""

import copy
import re

import orjson

ODD = (None, True, False, 0, -1, 7, 0.5, 1e308, 2**63 - 1, "", "x", "null", "é😀", [], {}, [[]], [None], {"type": "x"})
IDS = ("resp_1", "resp_2", "resp_3", "item_1", "item_2", "u", "u2", "call_1", "call_2", "1", "", 1, 7, None)
ID_FIELDS = ("id", "item_id", "response_id", "call_id", "event_id", "previous_item_id")

PUNCTUATION = '"\\{}[],:0. \n\x00é😀'
ROUGH_ENDS = ("\\ud83d", "\\", '"', "]", "}", ",", " ")

MAX_CHARS = 200_000
"""The longest string. With longer ones the fuzzer would spend its time on building strings."""

DEPTHS = (50, *range(180, 201), *range(240, 255))
"""The depths of nesting, many near the router's bound and near those of orjson."""

_DEEP = "levels of this: "
_BURIED = re.compile(f'"{_DEEP}([0-9]+)"')

WIDE = 60_000
"""The number of members of a list that exceeds the bound of values."""


def mutated(message, random):
    """Return a message with one to three of its fields changed."""
    message = orjson.loads(orjson.dumps(message))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        place = random.choice(list(_places(message)) or [None])
        if place is None:
            return message
        random.choice(_CHANGES)(*place, random)
    return message


def _places(value):
    """Yield each container in a message with each of its keys."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in members:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _replace(within, key, random):
    within[key] = copy.deepcopy(random.choice(ODD))  # a later change may be inside of it


def _delete(within, key, _random):
    del within[key]


def _nest(within, key, random):
    within[key] = random.choice(([within[key]], {"type": within[key]}, {str(key): within[key]}))


def _rename(within, key, random):
    if isinstance(within, dict):
        within[random.choice((f"{key}s", "type", "id", "text", "session"))] = within.pop(key)


def _give_id(within, key, random):
    if isinstance(within, dict):
        within[random.choice(ID_FIELDS)] = random.choice(IDS)
    else:
        within[key] = random.choice(IDS)


def _stretch(within, key, random):
    if isinstance(within[key], str):
        stretched = (within[key] or random.choice("a. ?\n"))[:1000] * random.choice((2, 30, 1000))
        within[key] = stretched[:MAX_CHARS]


def _fill(within, key, random):
    """Put a long text into a field, of a kind for which the cost was quadratic once."""
    if isinstance(within[key], str):
        within[key] = random.choice((".", "a. ", "1. ", '?"', "word ", "Hi. ", "é ", "。")) * random.choice((10, 4000))


def _bury(within, key, random):
    """Put a mark into a field. The text gets many levels there, because a parser reads more than a writer writes."""
    within[key] = f"{_DEEP}{random.choice(DEPTHS)}"


_CHANGES = (_replace, _replace, _delete, _nest, _rename, _give_id, _give_id, _stretch, _fill, _bury)


def _levels(mark):
    count = int(mark[1])
    return '{"a":' * count + "1" + "}" * count


def text_of(message, random):
    """Return a message as a text, which is sometimes damaged."""
    text = _BURIED.sub(_levels, orjson.dumps(message).decode())
    roll = random.random()
    if roll < 0.80:
        return text
    return random.choice(_DAMAGES)(text, random)


def _cut(text, random):
    return text[: random.randrange(len(text) + 1)]


def _insert(text, random):
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(PUNCTUATION) * random.choice((1, 1, 2, 300)) + text[at:]


def _drop(text, random):
    at = random.randrange(len(text) + 1)
    return text[:at] + text[at + random.choice((1, 1, 5)) :]


def _repeat(text, random):
    begin = random.randrange(len(text) + 1)
    end = random.randrange(begin, len(text) + 1)
    return text[:end] + text[begin:end] * random.choice((1, 2, 50)) + text[end:]


def _end_roughly(text, random):
    at = text.rfind('"')
    return text[:at] + random.choice(ROUGH_ENDS) + text[at:] if at > 0 else text


def _widen(text, random):
    if random.random() < 0.9:
        return text
    return text[:-1] + ',"a":[' + ",".join([random.choice(("[]", "{}", "0", '""'))] * WIDE) + "]}"


def _deepen(text, random):
    levels = random.choice((100, 199, 200, 300, 2000))
    return text[:-1] + ',"a":' + "[" * levels + "]" * levels + "}"


_DAMAGES = (_cut, _insert, _insert, _drop, _repeat, _end_roughly, _widen, _deepen)


def damaged_bytes(data, random):
    """Return the bytes with a few of them changed, removed or added."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                data[at : at + 1] = bytes((random.randrange(256),))
            case 1:
                del data[at : at + random.choice((1, 2, 8))]
            case 2:
                data[at:at] = random.randbytes(random.choice((1, 2, 8, 130)))
            case 3:
                data[at : at + 1] = bytes((data[at] ^ (1 << random.randrange(8)),)) if at < len(data) else b""
    return bytes(data)
