"""Studies that have verdicts, and what a report of them holds."""

import html
import re


def rows(text):
    """The rows of all verdicts in a page, as lists of the text of their cells."""
    found = re.findall(r'<tr>\s*(<td class="verdict .*?)</tr>', text, re.DOTALL)
    cells = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in found]
    return [
        [" ".join(html.unescape(re.sub("<[^>]*>", " ", cell)).split()) for cell in row]
        for row in cells
    ]


def arms(runs, norms=("none", "bn"), seeds=(0, 1, 2), lr=0.1, **settings):
    """A study of some arms with the fewest records that have verdicts; returns its path."""
    given = {"steps": 150, "probe_every": 50, "probes": [], "kinds": ("train",), **settings}
    for norm in norms:
        for seed in seeds:
            path = runs(norm=norm, seed=seed, lr=lr, **given)
    return path.parent


def contents(directory):
    """What every file at and below a directory holds, and when it was written."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
