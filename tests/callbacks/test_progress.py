import small

from bnkit import callbacks


def test_the_bar_counts_every_step_and_shows_the_values(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    trainer = small.trainer()
    bar = callbacks.Progress(6, "small")
    trainer.fit(small.batches(), 6, [bar])
    bar.close()
    shown = capsys.readouterr().err
    assert "6/6" in shown and "small" in shown
    assert "small: compiling" in shown and "loss " in shown and "accuracy " in shown


def test_in_a_log_it_says_how_long_compiling_took(caplog):
    caplog.set_level("INFO", "bnkit")
    trainer = small.trainer()
    bar = callbacks.Progress(3, "small")
    trainer.fit(small.batches(), 3, [bar])
    bar.close()
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("small: compiling took ")
