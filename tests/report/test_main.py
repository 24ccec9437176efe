"""The command `python -m bnkit.report`."""

from report_pages import arms, contents

from bnkit.report import __main__


def test_command_writes_below_the_reports_directory(runs, tmp_path, capsys):
    path = runs(steps=30, study="fig1", kinds=("train",))
    option = f"--reports_dir={tmp_path / 'reports'}"
    assert __main__.main(["report", str(path), option]) == 0
    made = tmp_path / "reports" / "fig1" / path.name / "index.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {made}" and made.exists()
    assert __main__.main(["report", str(path.parent), option]) == 0
    assert (tmp_path / "reports" / "fig1" / "index.html").exists()


def test_command_refuses_in_one_line(runs, tmp_path, capsys):
    runs(study="a", kinds=())
    for arguments, message in (
        ([str(tmp_path / "nowhere")], "nowhere does not exist"),
        ([str(runs.root)], "give one of them: a"),
        ([], "expected one PATH, got 0"),
        (["x", "--wrong=1"], "wrong"),
    ):
        assert __main__.main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_the_command_writes_nothing_but_its_own_folder(runs, tmp_path, monkeypatch, capsys):
    study = arms(runs, seeds=(0,), steps=30)
    other = tmp_path / "reports" / "other" / "index.html"
    other.parent.mkdir(parents=True)
    other.write_text("of another study")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert __main__.main(["report", str(study)]) == 0
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    folder = tmp_path / "reports" / study.name
    assert after.keys() - before.keys() == contents(folder).keys()
    assert capsys.readouterr().out.startswith("claims: 1 inconclusive\n  inconclusive  faster-")
