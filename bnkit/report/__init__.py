"""The report of one run or of a whole study: tables, figures and a page, from what is on disk.

`load_runs(path, kind)` gives the records as a tidy DataFrame; `write_report(path, directory)`
draws every figure and writes the page with the verdicts on the claims, which
`load_claims(directory)` gives as a DataFrame and `read_claims(directory)` as dicts. Nothing here
needs TensorFlow, and pandas, matplotlib and seaborn are loaded on first use only, so that importing
this package costs nothing.
"""

import importlib

_HOMES = {
    "load_claims": "claims.file",
    "load_runs": "frames",
    "ReportError": "runs",
    "read_claims": "claims.file",
    "write_report": "page.write",
}

__all__ = ["ReportError", "load_claims", "load_runs", "read_claims", "write_report"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
