"""Checks what a short run of the main job left behind: `check_demo.py DIRECTORY`."""

import json
import math
import pathlib
import sys

import bnkit

work = pathlib.Path(sys.argv[1])
(run,) = (work / "runs" / "main").iterdir()
status = json.loads((run / "status.json").read_text())
assert (status["status"], status["steps"]) == ("done", 60), status
train = bnkit.load_runs(run, "train")
assert train["step"].tolist() == list(range(60))
assert train["loss"].iloc[-10:].mean() < 0.8 * train["loss"].iloc[0], "it did not learn"
landscape = bnkit.load_runs(run, "landscape")
assert sorted(set(landscape["step"])) == [0, 20, 40] and len(landscape) == 3 * 8
assert (landscape["smoothness"] > 0).all() and landscape["loss_after_step"].map(math.isfinite).all()
shift = bnkit.load_runs(run, "ics")
assert len(shift) == 3 * 11 and (shift.loc[shift["layer"] == "conv1", "l2"] == 0).all()
activations = bnkit.load_runs(run, "activations")
assert sorted(set(activations["step"])) == [0, 20, 40] and len(activations) == 3 * 11 * 3
assert (activations.loc[activations["step"] == 0, "mean_drift"] == 0).all()
evaluation = bnkit.load_runs(run, "eval")
assert evaluation["loss_population_statistics"].map(math.isfinite).all()
assert list(run.glob("events*")) and list((run / "checkpoints").glob("ckpt-60*"))
report = work / "reports" / "main" / run.name
assert "bn" in (report / "index.html").read_text()
for kind in ("png", "pdf", "csv"):
    figures = list((report / "figures").glob(f"*.{kind}"))
    assert len(figures) >= 10 and all(path.stat().st_size > 0 for path in figures), kind
print(f"the demo left a complete run: {run.name}")
