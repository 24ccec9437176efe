"""What runs share and what differs, as the page shows it."""

import json

from report_pages import arms

from bnkit.report import write_report
from bnkit.report.page import comparison
from bnkit.report.runs import Run


def test_runs_of_other_machines_and_versions_are_reported_together(runs, tmp_path):
    study = arms(runs, seeds=(0, 1), steps=30)
    old, new, *_ = sorted(study.iterdir())
    described = json.loads((old / "settings.json").read_text())
    for name in ("command", "versions", "device", "data", "parameters", "created"):
        del described[name]
    del described["settings"]["probes"]
    (old / "settings.json").write_text(json.dumps(described))
    (old / "status.json").unlink()
    described = json.loads((new / "settings.json").read_text())
    described["versions"]["tensorflow"] = "2.99.0<b>"
    described["settings"]["not_known_yet"] = [1, 2]
    described["not_known_either"] = {"a": 1}
    (new / "settings.json").write_text(json.dumps(described))
    with open(new / "metrics.jsonl", "a") as file:
        file.write('{"step": 30, "kind": "not_known_yet", "values": [1, 2], "more": [3]}\n')
    text = write_report(study, tmp_path / "report").read_text()
    assert "versions.tensorflow (-, 2.99.0&lt;b&gt;, 2.21.0)" in text and "<b>" not in text
    assert f"{old.name} has no status.json" in text
    assert '<th scope="col">not_known_yet</th>' in text


def run(name, lr, **description):
    return Run(None, {"run": name, "settings": {"norm": "bn", "lr": lr}, **description}, {}, {})


def test_what_is_the_same_is_shared_and_all_else_differs():
    runs = [
        run("a", 0.1, versions={"keras": "3"}, device={"cores": 2}, parameters=7),
        run("b", 0.5, versions={"keras": "3"}, device={"cores": 4}, parameters=7),
        run("c", 0.5, versions={"keras": "3"}, device={}, parameters=7),
    ]
    shared, differing = comparison.compare(runs)
    assert shared == [
        ("Settings", [("norm", "bn")]),
        ("Data and model", [("parameters", "7")]),
        ("Versions and device", [("versions.keras", "3")]),
    ]
    assert differing == {
        "names": ["lr", "device.cores"],
        "rows": [
            {"run": "a", "values": ["0.1", "2"]},
            {"run": "b", "values": ["0.5", "4"]},
            {"run": "c", "values": ["0.5", "-"]},
        ],
    }
    assert comparison.warnings(differing) == [
        "The runs differ in device.cores (2, 4, -): compare their times with care."
    ]


def test_runs_that_do_not_differ_have_no_rows_and_no_warning():
    shared, differing = comparison.compare([run("a", 0.1), run("b", 0.1)])
    assert shared == [("Settings", [("norm", "bn"), ("lr", "0.1")])]
    assert differing == {"names": [], "rows": []} and comparison.warnings(differing) == []
    _, differing = comparison.compare([run("a", 0.1), run("b", 0.2)])
    assert differing["names"] == ["lr"] and comparison.warnings(differing) == []


def test_time_stamps_do_not_count_as_a_difference():
    runs = [run("a", 0.1, created="2026-11-22"), run("b", 0.2, created="2026-11-23")]
    shared, differing = comparison.compare(runs)
    assert differing["names"] == ["lr"] and "created" not in str(shared)
    shared, _ = comparison.compare(runs[:1])
    assert shared[-1] == ("Versions and device", [("created", "2026-11-22")])
