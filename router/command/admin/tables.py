"""Rows as columns of text, and facts as an outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GAP: Final = "  "
NOTHING: Final = "-"

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the heads, and the rows below them, in columns as wide as their content."""
    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def outline(facts: Mapping[str, Any]) -> str:
    """Return facts as lines of `name: value`, with nested facts indented."""
    return "\n".join(_lines(facts, ""))


def _lines(facts: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in facts.items():
        nested = (
            dict(enumerate(value)) if isinstance(value, list) and any(isinstance(it, dict) for it in value) else value
        )
        if isinstance(nested, dict) and nested:
            yield f"{indent}{name}:"
            yield from _lines({str(key): it for key, it in nested.items()}, indent + GAP)
        else:
            yield f"{indent}{name}: {cell(value)}"


def cell(value: Any) -> str:
    """Return a value as text for a reader: `-` for nothing, `yes` and `no`, and lists with commas."""
    match value:
        case None | [] | {} | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(cell(it) for it in value)
        case float():
            return f"{value:g}"
    return str(value)


def age(seconds: float | None) -> str:
    """Return a duration as text: `42s`, `7m05s`, `3h05m`; `-` for None."""
    if seconds is None:
        return NOTHING
    whole = int(seconds)
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m{whole % _MINUTE_S:02}s"
    return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02}m"
