"""The process of one run, as its study sees it."""

import os
import sys

import pytest
from study_runs import TINY, end

from bnkit import backend, store
from bnkit.settings import Settings
from bnkit.study.process import choose_kernels


@pytest.mark.parametrize(
    ("device", "resume", "expected"),
    [
        ({"onednn": "off"}, True, "0"),
        ({"onednn": "on"}, True, "1"),
        ({"onednn": "off"}, False, "1"),
        ({}, True, "1"),
    ],
)
def test_a_run_that_goes_on_has_the_kernels_that_it_was_begun_with(
    tmp_path, monkeypatch, device, resume, expected
):
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setenv(backend.ONEDNN, "")
    monkeypatch.delenv(backend.ONEDNN)
    settings = {"norm": "bn", "lr": 0.1, "seed": 0}
    with store.RunDir(tmp_path / "run") as directory:
        directory.start(
            store.describe(directory.path, settings, data={}, parameters=1, device=device)
        )
    choose_kernels(tmp_path / "run", resume)
    assert os.environ[backend.ONEDNN] == expected


@pytest.mark.parametrize(("threads", "resume", "expected"), [(3, True, "3"), (3, False, "7")])
def test_a_run_that_goes_on_has_the_threads_that_it_was_begun_with(
    tmp_path, monkeypatch, threads, resume, expected
):
    monkeypatch.delitem(sys.modules, "tensorflow")
    for name in (backend.ONEDNN, *backend.THREADS):
        monkeypatch.setenv(name, "7")
    end(tmp_path, Settings(**TINY), "interrupted", device={"threads": threads})
    choose_kernels(tmp_path / Settings(**TINY).run_id, resume)
    assert [os.environ[name] for name in backend.THREADS] == [expected] * 3


@pytest.mark.parametrize("threads", ["2", 0, True, None, [2]])
def test_threads_that_cannot_be_choose_nothing(tmp_path, monkeypatch, threads):
    monkeypatch.delitem(sys.modules, "tensorflow")
    for name in (backend.ONEDNN, *backend.THREADS):
        monkeypatch.setenv(name, "7")
    end(tmp_path, Settings(**TINY), "interrupted", device={"threads": threads})
    choose_kernels(tmp_path / Settings(**TINY).run_id, resume=True)
    assert [os.environ[name] for name in backend.THREADS] == ["7"] * 3


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_description_that_cannot_be_read_chooses_nothing(tmp_path, monkeypatch, content):
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setenv(backend.ONEDNN, "0")
    if content is not None:
        store.RunFiles(tmp_path).description.write_text(content)
    choose_kernels(tmp_path, resume=True)
    assert os.environ[backend.ONEDNN] == "0"
