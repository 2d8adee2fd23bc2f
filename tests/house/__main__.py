"""Measures the layout and the prose: `python -m tests.house`, beside other packages with `--beside DIRECTORY ...`."""

import argparse
import itertools
import sys
from pathlib import Path

import orjson

from tests.house import figures, history, prose, tree


def main():
    """Measure and print the figures, and judge them."""
    options = _parse()
    root = options.root.resolve()
    ours = tree.load(root)
    trees = {"here": figures.measure(ours, is_ours=True)}
    for directory in options.beside:
        trees[directory.resolve().name] = figures.measure(tree.load_directory(directory))
    commits = history.read(root, options.since)
    verdicts = prose.judge(root)
    lists = {
        "function docstrings that do not open with an imperative verb": list(prose.function_openings(root)),
        "names that were replaced, in the prose": prose.old_names(root),
        f"commit subjects that break the rule since {options.since}": history.offences(commits),
    }
    if options.json:
        print(orjson.dumps(_as_json(trees, ours, verdicts, lists), option=orjson.OPT_INDENT_2).decode())
    else:
        _print(trees, ours, verdicts, lists, options)
        print(commits.gap)
    return 0 if all(verdict.is_kept for verdict in verdicts.values()) and not any(lists.values()) else 1


def _parse():
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=__doc__)
    parser.add_argument(
        "--beside", type=Path, nargs="+", default=[], metavar="DIRECTORY", help="packages to compare with"
    )
    parser.add_argument("--root", type=Path, default=tree.ROOT, metavar="DIRECTORY", help="a checkout (this one)")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="offenders to print of each kind")
    parser.add_argument(
        "--since", default=history.BASE, metavar="COMMIT", help=f"whose subjects count ({history.BASE})"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


def _as_json(trees, ours, verdicts, lists):
    return {
        "figures": trees,
        "packages": figures.packages(ours),
        "prose": {kind: {"share": each.share, "sentences": each.total} for kind, each in verdicts.items()},
        "long sentences": {kind: each.too_long for kind, each in verdicts.items()},
        **{title: len(offences) for title, offences in lists.items()},
    }


def _print(trees, ours, verdicts, lists, options):
    rows = [[name, *(figures.show(name, each.get(name)) for each in trees.values())] for name in figures.LAYOUT]
    _table(["", *trees], rows)
    for name, meaning in figures.LAYOUT.items():
        print(f"  {name}: {meaning}")
    print()
    inside = figures.packages(ours)
    columns = ["files", "imports", "circles", "flags"]
    _table(
        ["package", *columns], [[name, *(figures.show(c, each[c]) for c in columns)] for name, each in inside.items()]
    )
    for verdict in verdicts.values():
        print(verdict)
        _offences(verdict.headless, options)
        _offences(verdict.banned, options)
    for title, offences in lists.items():
        print(f"{title}: {len(offences)}")
        _offences(offences, options)


def _table(header, rows):
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def _offences(offences, options):
    for offence in itertools.islice(offences, options.show):
        print(f"    {offence}")


if __name__ == "__main__":
    sys.exit(main())
