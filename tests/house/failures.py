"""The text of a failed check: the number of its offenders, and each of them."""


def listed(title, lines):
    """Return the number of lines with its title, and the lines."""
    return "\n    ".join([f"{len(lines)} {title}:", *map(str, lines)])
