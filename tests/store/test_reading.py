"""What is on disk and how it is checked, against files written by hand."""

import json
import os

import pytest

from bnkit.store import (
    FormatError,
    RunError,
    StepCounter,
    check_replaceable,
    contents,
    is_measured,
    read_description,
    read_records,
    read_status,
)

SETTINGS = {"norm": "bn", "lr": 0.1, "seed": 0}
DESCRIPTION = {"format": 1, "study": "s", "run": "r", "settings": SETTINGS}
STATUS = {"status": "done", "reason": "", "steps": 3, "seconds": {"train": 1.5, "total": 2}}
GOOD = b'{"step": 0, "kind": "train", "loss": "nan"}\n'


@pytest.mark.parametrize("read", [read_description, read_status])
def test_a_run_that_never_started_has_nothing(read, tmp_path):
    assert read(tmp_path) is None
    assert read(str(tmp_path / "nowhere")) is None


def test_what_is_there_is_given_as_it_is(tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({**DESCRIPTION, "later": 1}))
    (tmp_path / "status.json").write_text(json.dumps({**STATUS, "later": "more"}))
    assert read_description(tmp_path) == {**DESCRIPTION, "later": 1}
    assert read_status(tmp_path) == {**STATUS, "later": "more"}


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
        (b"7", "is damaged: it holds a int; expected a JSON object"),
        (b'{"status": NaN}', "is damaged: it is not valid JSON: NaN is no JSON number"),
        (b"[" * 100_000, "is damaged: it is not valid JSON"),
        (b'{"status": ' + b"9" * 5000 + b"}", "is damaged: it is not valid JSON"),
        (b'{"status": "\\ud800"}', "is damaged: it is not valid JSON.*surrogates"),
    ],
)
def test_a_damaged_file_is_named(name, read, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=f"{name} {message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("settings.json", read_description),
        ("status.json", read_status),
        ("metrics.jsonl", lambda path: list(read_records(path))),
    ],
)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is damaged: expected a file, got a directory"),
        (lambda path: path.symlink_to("nowhere"), "expected a file, got a link to nothing"),
        (lambda path: path.symlink_to(path.name), "cannot be read|got a link to nothing"),
        (os.mkfifo, "is damaged: expected a file, got a device or a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "expected a file, got a device or a pipe"),
    ],
    ids=["directory", "dangling", "loop", "pipe", "endless"],
)
def test_what_is_no_file_is_named_and_not_opened(name, read, make, message, tmp_path):
    make(tmp_path / name)
    with pytest.raises(RunError, match=f"{name} .*({message})"):
        read(tmp_path)


def test_a_link_to_a_file_is_read(tmp_path):
    (tmp_path / "elsewhere").write_text(json.dumps(STATUS))
    (tmp_path / "status.json").symlink_to("elsewhere")
    assert read_status(tmp_path) == STATUS


@pytest.mark.parametrize("key", DESCRIPTION)
def test_a_description_without_what_it_needs_is_refused(key, tmp_path):
    content = {name: value for name, value in DESCRIPTION.items() if name != key}
    (tmp_path / "settings.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"settings\.json lacks {key}$"):
        read_description(tmp_path)


@pytest.mark.parametrize("key", SETTINGS)
def test_settings_without_what_they_need_are_refused(key, tmp_path):
    content = {name: value for name, value in SETTINGS.items() if name != key}
    (tmp_path / "settings.json").write_text(json.dumps({**DESCRIPTION, "settings": content}))
    with pytest.raises(RunError, match=rf"settings\.json lacks settings\.{key}$"):
        read_description(tmp_path)


@pytest.mark.parametrize("key", STATUS)
def test_a_status_without_what_it_needs_is_refused(key, tmp_path):
    content = {name: value for name, value in STATUS.items() if name != key}
    (tmp_path / "status.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"status\.json lacks {key}$"):
        read_status(tmp_path)


# File -> dotted name of a value -> values that it must not have.
WRONG = {
    "settings.json": {
        "format": [True, "1", 0, 1.0, None, []],
        "study": [None, 3, ["s"], {}],
        "run": [None, 3, ["r"], {}],
        "settings": [
            *[None, 3, "bn", ["bn"]],
            *[{**SETTINGS, "step": 3}, {**SETTINGS, "study": "s"}],
            *[{**SETTINGS, "width": value} for value in ({}, [{}], [[1]], [1e999])],
        ],
        "settings.norm": [None, 3, ["bn"]],
        "settings.lr": [None, "0.1", True, [0.1]],
        "settings.seed": [None, "0", 0.5, True, 10**30],
        "settings.steps": [None, "5", 0.5, True, -1, [5]],
        "settings.probes": [None, "ics", 3, [3], [None]],
        "settings.step_sizes": [None, 0.1, "0.1", ["x"], [None], [True]],
        "command": [None, "python", [1], {}],
        "versions": [None, "1", ["1"], {"keras": 3}],
        "train_mean_over": [None, "week", 1],
        "data": [None, "glyphs", []],
        "data.classes": ["10", 0, -1, 2.5, True, [10]],
        "data.fingerprint": [None, 7],
        "device": [None, "GPU", []],
        "parameters": [None, -1, 0.5, "7", True],
        "created": [None, 2026, []],
    },
    "status.json": {
        "status": [None, "finished", 1, ["done"], True],
        "reason": [None, 1, ["why"]],
        "steps": [None, -1, 0.5, "3", True, 10**30],
        "seconds": [
            *[None, 3, "2", [1]],
            *[{"train": value} for value in ("1", -1, 1e999, None, True)],
        ],
    },
}


def with_value(content, name, value):
    """A copy of the content with another value of a dotted name."""
    outer, _, inner = name.partition(".")
    value = with_value(content.get(outer, {}), inner, value) if inner else value
    return {**content, outer: value}


def test_every_value_that_is_checked_is_tried():
    assert WRONG["settings.json"].keys() == contents.DESCRIPTION.keys()
    assert WRONG["status.json"].keys() == contents.STATUS.keys()


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [(file, *one) for file, names in WRONG.items() for one in names.items()],
)
def test_a_value_of_the_wrong_type_is_named(file, name, value, tmp_path):
    whole, read = {
        "settings.json": (DESCRIPTION, read_description),
        "status.json": (STATUS, read_status),
    }[file]
    for wrong in value:
        text = json.dumps(with_value(whole, name, wrong)).replace("Infinity", "1e999")
        (tmp_path / file).write_text(text)
        with pytest.raises(RunError) as caught:
            read(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / file} is damaged: {name} must be "), wrong


def test_another_format_is_refused_whatever_else_it_lacks(tmp_path):
    (tmp_path / "settings.json").write_text('{"format": 7}')
    with pytest.raises(FormatError, match=r"by a newer version .* format 7, .* reads format 1"):
        read_description(tmp_path)
    with pytest.raises(FormatError, match="format 7"):
        check_replaceable(tmp_path)
    for content in ("{", json.dumps(DESCRIPTION)):
        (tmp_path / "settings.json").write_text(content)
        check_replaceable(tmp_path)


def test_a_run_is_measured_if_it_has_ended_and_everything_is_there(tmp_path):
    def write(**content):
        (tmp_path / "status.json").write_text(json.dumps({**STATUS, **content}))

    assert not is_measured(tmp_path)
    write()
    assert not is_measured(tmp_path)
    (tmp_path / "settings.json").write_text(json.dumps(DESCRIPTION))
    assert not is_measured(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(GOOD[:-5])
    assert not is_measured(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(GOOD)
    assert is_measured(tmp_path)
    for state in contents.STATES:
        write(status=state)
        assert is_measured(tmp_path) == (state in ("done", "diverged"))
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(RunError, match=r"settings\.json is damaged"):
        is_measured(tmp_path)


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
    (tmp_path / "metrics.jsonl").mkdir()
    assert counter.count() == 0
