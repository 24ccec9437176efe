"""What all runs of a report share, and what differs between them."""

import json

_SETTINGS = "Settings"
_TIME = "created"
# Part of a description -> its group on the page; all others are settings.
_GROUPS = {
    "data": "Data and model",
    "parameters": "Data and model",
    "versions": "Versions and device",
    "device": "Versions and device",
    _TIME: "Versions and device",
}


def compare(runs):
    """Settings, data, versions and devices of all runs.

    Returns:
        `(shared, differing)`. `shared`: pairs of a group and its `(name, value)` pairs, the same
        for all runs. `differing`: the `names` of the others but for time stamps, and `rows` with
        each `run` and its `values`; no rows if nothing differs.
    """
    flat = [_flatten(run) for run in runs]
    names = list(dict.fromkeys(name for one in flat for name in one))
    differ = [name for name in names if len({one.get(name, "-") for one in flat}) > 1]
    # When each was made says nothing about what it is.
    if _TIME in differ:
        names = [name for name in names if name != _TIME]
        differ.remove(_TIME)
    shared = {_SETTINGS: [], **{group: [] for group in _GROUPS.values()}}
    for name in names:
        if name not in differ:
            group = _GROUPS.get(name.partition(".")[0], _SETTINGS)
            shared[group].append((name, flat[0][name]))
    rows = [
        {"run": run.name, "values": [one.get(name, "-") for name in differ]}
        for run, one in zip(runs, flat, strict=True)
    ]
    shared = [(group, values) for group, values in shared.items() if values]
    return shared, {"names": differ, "rows": rows if differ else []}


def warnings(differing):
    """A sentence if versions or devices are not the same for all runs."""
    found = [
        f"{name} ({', '.join(dict.fromkeys(row['values'][number] for row in differing['rows']))})"
        for number, name in enumerate(differing["names"])
        if name.startswith(("versions.", "device."))
    ]
    if not found:
        return []
    return [f"The runs differ in {', '.join(found)}: compare their times with care."]


def _flatten(run):
    """Name -> text: settings as they are called, everything else as `part.name`."""
    parts = {
        "": run.settings,
        "data.": run.description.get("data", {}),
        "versions.": run.description.get("versions", {}),
        "device.": run.description.get("device", {}),
    }
    flat = {
        f"{part}{name}": value if isinstance(value, str) else json.dumps(value)
        for part, values in parts.items()
        for name, value in values.items()
    }
    for name in ("parameters", _TIME):
        if name in run.description:
            flat[name] = str(run.description[name])
    return flat
