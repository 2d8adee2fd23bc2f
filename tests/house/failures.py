"""The text of a check that fails: how many there are, and every one."""


def listed(title, lines):
    """Return the number of lines with its title, and the lines."""
    return "\n    ".join([f"{len(lines)} {title}:", *map(str, lines)])
