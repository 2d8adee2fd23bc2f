"""Small trees to check the checkers with."""

import textwrap

from tests.house import tree

SETUP = """
[options.packages.find]
include =
    app*
"""


def write(root, files):
    """Write the files below a directory: paths to their text."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    return root


def load(root, files, setup=""):
    """Write the files of a package `app` and read its tree."""
    return tree.load(write(root, {"setup.cfg": SETUP + textwrap.dedent(setup), "app/__init__.py": "", **files}))
