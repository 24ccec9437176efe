"""What is on disk and how it is checked, against files written by hand."""

import json

import pytest

from bnkit.store import RunError, StepCounter, read_description, read_records, read_status

DESCRIPTION = {"format": 1, "study": "s", "run": "r", "settings": {"norm": "bn"}}
GOOD = b'{"step": 0, "kind": "train", "loss": "nan"}\n'


@pytest.mark.parametrize("read", [read_description, read_status])
def test_a_run_that_never_started_has_nothing(read, tmp_path):
    assert read(tmp_path) is None
    assert read(str(tmp_path / "nowhere")) is None


def test_what_is_there_is_given_as_it_is(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({**DESCRIPTION, "later": 1}))
    (tmp_path / "status.json").write_text('{"status": "done", "steps": 3}')
    assert read_description(tmp_path) == {**DESCRIPTION, "later": 1}
    assert read_status(tmp_path) == {"status": "done", "steps": 3}


@pytest.mark.parametrize(
    ("name", "read"), [("settings.json", read_description), ("status.json", read_status)]
)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"status": ', "is damaged: it is not valid JSON"),
        (b"", "is damaged: it is not valid JSON"),
        (b'{"status": "\xff"}', "is damaged: it is not valid JSON"),
        (b"[1, 2]", "is damaged: it holds a list; expected a JSON object"),
        (b"null", "is damaged: it holds a NoneType; expected a JSON object"),
    ],
)
def test_a_damaged_file_is_named(name, read, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name} {message}"):
        read(tmp_path)


@pytest.mark.parametrize("key", DESCRIPTION)
def test_a_description_without_what_it_needs_is_refused(key, tmp_path):
    content = {name: value for name, value in DESCRIPTION.items() if name != key}
    (tmp_path / "settings.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"settings\.json lacks {key}$"):
        read_description(tmp_path)


def test_a_status_without_a_state_is_refused(tmp_path):
    (tmp_path / "status.json").write_text("{}")
    with pytest.raises(RunError, match=r"status\.json lacks status$"):
        read_status(tmp_path)


def test_another_format_is_refused_whatever_else_it_lacks(tmp_path):
    (tmp_path / "settings.json").write_text('{"format": 7}')
    with pytest.raises(RunError, match=r"settings\.json has format 7; .* reads format 1"):
        read_description(tmp_path)


def test_records_come_with_the_numbers_of_their_lines(tmp_path):
    assert list(read_records(tmp_path)) == []
    (tmp_path / "metrics.jsonl").write_bytes(GOOD + b"\n" + GOOD.replace(b"0", b"5"))
    assert list(read_records(tmp_path)) == [
        (1, {"step": 0, "kind": "train", "loss": "nan"}),
        (3, {"step": 5, "kind": "train", "loss": "nan"}),
    ]


@pytest.mark.parametrize("rest", [b'{"step":1,"ki', b'{"step":1,"kind":"train","loss":"\xc3'])
def test_a_last_line_that_is_cut_off_is_left_out(rest, tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(GOOD + rest)
    assert [number for number, _ in read_records(tmp_path)] == [1]


def test_a_last_line_that_lacks_only_its_end_counts(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(GOOD + GOOD.rstrip())
    assert [number for number, _ in read_records(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "line", [b"{oops", b"[1, 2]", b'{"kind": "train"}', b'{"kind": [], "step": 1}', b'"\xff"']
)
@pytest.mark.parametrize("after", [b"", GOOD])
def test_a_damaged_line_is_named(line, after, tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(GOOD + line + b"\n" + after)
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2 is damaged: expected a JSON obj"):
        list(read_records(tmp_path))


def test_training_steps_are_counted_as_they_come(tmp_path):
    counter = StepCounter(tmp_path)
    assert counter.count() == 0
    with open(tmp_path / "metrics.jsonl", "wb") as records:
        records.write(GOOD * 6)
        records.flush()
        assert counter.count() == counter.count() == 6
        records.write(b'{"step": 6, "kind": "eval"}\n' + GOOD[:20])
        records.flush()
        assert counter.count() == 6  # The line is not complete.
        records.write(GOOD[20:])
        records.flush()
        assert counter.count() == 7
    # Cut back to a checkpoint, as it is when a run goes on.
    (tmp_path / "metrics.jsonl").write_bytes(GOOD * 5)
    assert counter.count() == 5
    (tmp_path / "metrics.jsonl").unlink()
    assert counter.count() == 0
