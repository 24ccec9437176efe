"""Every example runs, at small size, as its user starts it, and shows what it promises."""

import contextlib
import io
import json
import os
import pathlib
import runpy
import subprocess
import sys

import nbclient
import nbformat
import numpy as np
import pytest

import bnkit
from bnkit import main

ROOT = pathlib.Path(bnkit.__file__).parents[1]
EXAMPLES = ROOT / "examples"
TESTED = {"students.ipynb", "researcher.py", "engineer.py", "transformer.py"}
# Files of which the examples make use.
USED = {"pixel_norm.py"}
# Of `bnkit.main`, for runs of seconds.
SMALL = (
    *("--steps=4", "--batch_size=16", "--eval_every=4", "--probe_every=2"),
    *("--step_sizes=0.1,0.2", "--probes=landscape"),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Few glyphs in a file, as `--dataset` takes one."""
    cache = tmp_path_factory.mktemp("glyphs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNKIT_CACHE_DIR", str(cache))
        glyphs = bnkit.data.load_glyphs(train_size=64, test_size=20, progress=False)
    path = cache / "glyphs.npz"
    arrays = {"x_train": glyphs.train.x, "y_train": glyphs.train.y}
    np.savez(path, **arrays, x_test=glyphs.test.x, y_test=glyphs.test.y)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty directory to start from, and the bnkit that is tested for every process."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("BNKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def _run(place, name, *arguments):
    """What the example prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def in_process(place, monkeypatch):
    """`run(name, *arguments)`: what the example prints, with its commands in this process.

    A command `python -m bnkit.main ...` that it starts is made here, which saves the import of
    TensorFlow; a study still has a process for every run.
    """

    def subprocess_run(command, env=None):
        assert command[:3] == [sys.executable, "-m", "bnkit.main"]
        with pytest.MonkeyPatch.context() as patch:
            for key, value in (env or {}).items():
                patch.setenv(key, value)
            return subprocess.CompletedProcess(command, main.main(command[2:]))

    def run(name, *arguments):
        path = str(EXAMPLES / name)
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        monkeypatch.setattr(subprocess, "run", subprocess_run)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            runpy.run_path(path, run_name="__main__")
        return printed.getvalue()

    return run


def _landscape(run):
    """The records of the landscape of a run, as they are on disk."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "landscape"]


def test_every_example_is_tested():
    found = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    assert found == TESTED | USED


def test_every_example_is_named_where_examples_are_looked_for():
    for page in (ROOT / "README.md", EXAMPLES / "README.md"):
        text = page.read_text()
        assert [name for name in sorted(TESTED) if name not in text] == []


def test_students(place, images):
    notebook = nbformat.read(EXAMPLES / "students.ipynb", as_version=4)
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    small = {"width": 0.02, "steps": 4, "probe_every": 2, "eval_every": 4, "batch_size": 16}
    parameters.source = "\n".join(
        [
            f"DATASET = {str(images)!r}",
            "RATES = (0.05, 0.1)",
            f"SETTINGS = {small | {'step_sizes': (0.1, 0.4)}!r}",
            'STUDY = "runs/students"',
        ]
    )
    resources = {"metadata": {"path": str(place)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "data" in output]
    figures = [data for data in shown if "image/png" in data]
    assert len(figures) == 4
    (table,) = (data["text/plain"] for data in shown if "text/html" in data)
    rows = {int(line.split()[0]): line.split()[1:] for line in table.splitlines()[3:]}
    assert list(rows) == [0, 2]
    # All rates start at the same weights: no envelope, and yet a landscape.
    assert rows[0][:2] == ["1.00", "1.00"]
    # The landscape's ratio, from the records as they are on disk.
    for column, norm in enumerate(["bn", "none"], start=2):
        (run,) = (place / "runs" / "students").glob(f"{norm}-lr0.1-*")
        for record in _landscape(run):
            ratio = max(record["losses"]) / min(record["losses"])
            assert float(rows[record["step"]][column]) == round(ratio, 2)


def test_students_is_kept_without_outputs():
    notebook = nbformat.read(EXAMPLES / "students.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_researcher(in_process, place, images):
    arms = ("--norm=none,pixel_norm:PixelNorm", "--seed=0", "--model=mlp", "--width=0.02")
    printed = in_process("researcher.py", *arms, f"--dataset={images}", *SMALL)
    claims = bnkit.load_claims(place / "reports" / "researcher")
    ours = claims[claims["arm"] == "pixel_norm:PixelNorm"]
    assert set(ours["baseline"]) == {"none"}
    table = printed.splitlines()[-len(ours) :]
    assert [line.split()[0] for line in table] == list(ours["question"])
    # One seed decides nothing.
    assert all("inconclusive" in line for line in table)


def test_engineer(place, images):
    small = ("--width=2", "--epochs=1", "--batch_size=16", "--every=2")
    _run(place, "engineer.py", f"--dataset={images}", *small)
    study = place / "runs" / "engineer"
    for kind in ("landscape", "ics"):
        records = bnkit.load_runs(study, kind)
        assert set(records["norm"]) == {"none", "bn"}
        # 64 images make four steps.
        assert sorted(set(records["step"])) == [0, 2]
    assert (place / "reports" / "engineer" / "index.html").is_file()
    assert (place / "reports" / "engineer" / "figures" / "ics.png").is_file()


def test_transformer(in_process, place, images):
    small = ("--norm=layer", "--seed=0", "--width=0.1", f"--dataset={images}", *SMALL)
    printed = in_process("transformer.py", *small)
    rows = [line.split() for line in printed.splitlines()[-2:]]
    assert [row[:2] for row in rows] == [["post", "layer"], ["pre", "layer"]]
    runs = (place / "runs" / "transformer").glob("layer-*")
    by_place = {
        json.loads((run / "settings.json").read_text())["settings"]["norm_place"]: run
        for run in runs
    }
    for norm_place, _, _, spread in rows:
        records = _landscape(by_place[norm_place])
        assert len(records) == 2
        mean = sum(max(record["losses"]) / min(record["losses"]) for record in records) / 2
        assert float(spread) == pytest.approx(mean, abs=6e-4)
