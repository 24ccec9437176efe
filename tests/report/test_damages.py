"""What the report does with a run of which one file is damaged: a table, file by damage."""

import html
import re

import pytest
from damages import DAMAGES, FILES

from bnkit.report import ReportError, write_report
from bnkit.report.page import write
from bnkit.report.runs import read_runs, read_sound_runs

# Where a run is drawn all the same -> what is said of it, nothing if it is sound.
DRAWN = {
    ("status.json", "deleted"): "has no status.json: it is not known to have ended",
    ("metrics.jsonl", "truncated"): r"has lost records: \d+ of 30 steps are there",
    ("metrics.jsonl", "deleted"): "has lost records: 0 of 30 steps are there",
    ("metrics.jsonl", "empty"): "has lost records: 0 of 30 steps are there",
    **{(file, "a link to where it was moved"): "" for file in FILES},
}
# What the message of a run that is left out says besides the file.
SAID = {
    "deleted": "is missing",
    "an empty object": "lacks|is damaged",
    **{name: f"expected a file, got {name}" for name in ("a directory", "a link to nothing")},
    **dict.fromkeys(["a pipe", "an endless link"], "expected a file, got a device or a pipe"),
}


@pytest.fixture
def study(runs, monkeypatch):
    """A study of two runs, of which the second is sound: `(the first, the study)`."""
    monkeypatch.setattr(write, "FIGURES", ())
    first = runs(norm="bn", steps=30, kinds=("train",))
    runs(norm="none", steps=30, kinds=("train",))
    return first, first.parent


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_run_is_left_out_and_the_page_says_so(file, damage, study, tmp_path, caplog):
    first, directory = study
    DAMAGES[damage](first / file)
    page = write_report(directory, tmp_path / "report").read_text()
    _, _, after = page.partition("Before you read on")
    found = re.findall(r"<li>(.*?)</li>", after.partition("</section>")[0])
    warnings = [html.unescape(text) for text in found]
    about = [text for text in warnings if first.name in text and "never trained" not in text]
    if (file, damage) in DRAWN:
        assert read_runs(directory)[0].name == first.name
        said = DRAWN[file, damage]
        assert len(about) == bool(said) and all(re.search(said, text) for text in about)
    else:
        (text,) = about
        assert text.startswith(f"main/{first.name} is left out: ") and file in text
        assert re.search(SAID.get(damage, "is damaged"), text)
        assert text in [record.getMessage() for record in caplog.records]
        # Nothing else of the run is on the page.
        assert html.unescape(page).count(first.name) == text.count(first.name)


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_run_alone_is_an_error(file, study):
    first, directory = study
    (first / file).write_text("[]\n")
    for path in (first, directory):
        with pytest.raises(ReportError, match=f"{file}.* is damaged"):
            read_runs(path)
    with pytest.raises(ReportError, match=f"no run in .* can be read: .*{file}.* is damaged"):
        read_sound_runs(first)


def test_nothing_is_written_if_no_run_is_sound(study, tmp_path):
    for run in study[1].iterdir():
        (run / "settings.json").write_text("{")
    with pytest.raises(ReportError, match="no run in"):
        write_report(study[1], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_figure_that_cannot_be_drawn_is_left_out(study, tmp_path, monkeypatch, caplog):
    from bnkit.report import figures

    def fail(*arguments):
        raise ZeroDivisionError("of <b>records</b>")

    (loss,) = (entry for entry in figures.FIGURES if entry.name == "loss")
    monkeypatch.setattr(write, "FIGURES", (loss,))
    monkeypatch.setattr(write.figure_files, "save", fail)
    page = write_report(study[1], tmp_path / "report").read_text()
    said = f"The figure {loss.title!r} cannot be drawn from these records: ZeroDivisionError: of "
    assert [record.getMessage() for record in caplog.records] == [f"{said}<b>records</b>."]
    assert "ZeroDivisionError: of &lt;b&gt;records" in page

    def fill(*arguments):
        raise OSError("no space left")

    # A full disk is no matter of the records.
    monkeypatch.setattr(write.figure_files, "save", fill)
    with pytest.raises(OSError, match="no space left"):
        write_report(study[1], tmp_path / "report")
