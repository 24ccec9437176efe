"""The settings of a run as a card of TensorBoard's Text tab."""

from bnkit.callbacks.hparams import FIRST, plain


def settings_card(name, settings, defaults):
    """Tables in Markdown: first what differs from the defaults, then the rest.

    Args:
        name: Of the run.
        settings: Name -> plain value; None is left out.
        defaults: Name -> the value that it has unless it is chosen, as far as there is one.
    """
    known = {key: value for key, value in settings.items() if value is not None}
    order = sorted(known, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))
    chosen = [key for key in order if key not in defaults or known[key] != defaults[key]]
    others = [key for key in order if key not in chosen]
    lines = [f"**{name}**"]
    if chosen:
        head = ("chosen", "value", "by default")
        lines += _table(head, [(key, known[key], defaults.get(key)) for key in chosen])
    if others:
        lines += _table(("by default", "value"), [(key, known[key]) for key in others])
    return "\n".join(lines)


def _table(head, rows):
    cells = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return ["", *("| " + " | ".join(row) + " |" for row in cells)]


def _cell(value):
    shown = "" if value is None else str(plain(value)) or "none"
    # A stroke would end the cell, and there is no escape for it within code.
    return shown.replace("|", "&#124;")
