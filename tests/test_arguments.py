"""Flag files, and arguments that no flag can use."""

import os
import pathlib

import pytest

import bnkit
from bnkit import arguments
from bnkit.arguments import ArgumentError, expand, flag_files

FLAGS = pathlib.Path(bnkit.__file__).parents[1] / "flags"


@pytest.fixture
def file(tmp_path, monkeypatch):
    """`file(name, content)` writes a file into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
        return name

    return write


@pytest.mark.parametrize(
    ("arguments", "expanded"),
    [
        ([], []),
        (["--norm=bn", "--lr", "0.1"], ["--norm=bn", "--lr", "0.1"]),
        (["--a", "--flagfile=one", "--b"], ["--a", "--norm=none", "--lr=0.5", "--b"]),
        (["-flagfile=one"], ["--norm=none", "--lr=0.5"]),
        (["--flagfile", "one", "--b"], ["--norm=none", "--lr=0.5", "--b"]),
        (["--flagfile=two"], ["--seed=1", "--norm=none", "--lr=0.5", "--steps=3"]),
        (["--flagfile=one", "--flagfile=one"], ["--norm=none", "--lr=0.5"] * 2),
        (["--flagfile="], []),
        (["--", "--flagfile=one"], ["--", "--flagfile=one"]),
    ],
)
def test_a_flag_file_stands_for_its_flags(arguments, expanded, file):
    file("one", "# a comment\n\n--norm=none\n// another\n  --lr=0.5  \r\n")
    file("two", "\ufeff--seed=1\n--flagfile=one\n--steps=3")
    assert expand(arguments) == expanded


def test_a_flag_file_in_the_home_directory(file, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    file("mine", "--lr=3")
    assert expand(["--flagfile=~/mine"]) == ["--lr=3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--flagfile=nowhere"], "--flagfile=nowhere: cannot be read: .*No such file"),
        (["--flagfile=nowhere/x"], "--flagfile=nowhere/x: cannot be read"),
        (["--flagfile=" + "x" * 300], "cannot be read: .*File name too long"),
        (["--flagfile=."], "--flagfile=.: must be a file"),
        (["--flagfile=/dev/zero"], "--flagfile=/dev/zero: must be a file"),
        (["--flagfile=pipe"], "--flagfile=pipe: must be a file"),
        (["--flagfile=binary"], r"--flagfile=binary: must be text \(UTF-8\)"),
        (["--flagfile=zeros"], "must be text without zero bytes"),
        (["--flagfile=large"], "--flagfile=large: must be at most 1 MB"),
        (["--flagfile=many"], "--flagfile=half: must be at most 1 MB, with all it names"),
        (["--flagfile=itself"], "--flagfile=itself: the file includes itself"),
        (["--flagfile=one"], r"--flagfile=./one: the file includes itself"),
        (["--flagfile=chain0"], "--flagfile=chain10: is the 11th file of a chain"),
        (["--flagfile"], "--flagfile: must be the path of a file"),
        (["--flagfile=a\0b"], "without zero bytes"),
        (["--study=\0"], "without zero bytes"),
        (["--study=\udcff"], r"must be text \(UTF-8\)"),
        (["--" + "a" * 5000 + "=1"], "Unknown command line flag '--aaa"),
    ],
    ids=lambda value: None if isinstance(value, str) else value[0][:30],
)
def test_what_cannot_be_used_is_named(arguments, message, file, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    file("binary", b"--norm=\xff\xfe")
    file("zeros", b"\0" * 100)
    file("large", b"#" * (2**20 + 1))
    file("half", b"#" * 2**19)
    file("many", "--flagfile=half\n" * 3)
    file("itself", "--flagfile=itself")
    file("one", "--flagfile=two")
    file("two", "--flagfile=./one")
    for number in range(20):
        file(f"chain{number}", f"--flagfile=chain{number + 1}")
    with pytest.raises(ArgumentError, match=message):
        expand(arguments)


def test_the_largest_file_is_read(file):
    file("full", b"#" * (2**20 - 7) + b"\n--lr=1")
    assert expand(["--flagfile=full"]) == ["--lr=1"]


def test_no_more_than_the_limit_is_read(file, tmp_path):
    """Of a file of a terabyte, none of which is on disk."""
    with open(tmp_path / "endless", "wb") as endless:
        endless.truncate(2**40)
    with pytest.raises(ArgumentError, match="at most 1 MB"):
        expand(["--flagfile=endless"])


def test_the_flag_files_of_bnkit_have_names():
    assert flag_files() == {path.stem: path for path in FLAGS.iterdir()}
    assert list(flag_files()) == sorted(flag_files()) and "quick" in flag_files()


def test_in_a_wheel_the_flag_files_are_inside_the_package(tmp_path, monkeypatch):
    """Where `flags` beside the package would be anybody's."""
    (tmp_path / "bnkit" / "flags").mkdir(parents=True)
    (tmp_path / "flags").mkdir()
    for path in ("bnkit/flags/ours.flags", "flags/theirs.flags"):
        (tmp_path / path).touch()
    homes = [tmp_path.joinpath(*home.relative_to(FLAGS.parent).parts) for home in arguments._HOMES]
    monkeypatch.setattr(arguments, "_HOMES", homes)
    assert list(flag_files()) == ["ours"]


@pytest.mark.parametrize("asked", [["--flagfile=demo"], ["--flagfile", "demo"]], ids=len)
def test_a_flag_file_of_bnkit_is_found_by_its_name(asked, file, tmp_path):
    demo = ["--norm=bn", "--lr=0.5", "--steps=500"]
    assert expand([*asked, "--seed=1"]) == [*demo, "--seed=1"]
    file("mine", "--seed=2\n--flagfile=demo")
    assert expand(["--flagfile=mine"]) == ["--seed=2", *demo]
    # A folder cannot be meant.
    (tmp_path / "demo").mkdir()
    assert expand(asked) == demo


def test_a_file_at_that_path_goes_before_the_name(file):
    file("demo", "--lr=7")
    assert expand(["--flagfile=demo"]) == ["--lr=7"]


def test_a_wrong_name_lists_the_names(file):
    with pytest.raises(ArgumentError) as caught:
        expand(["--flagfile=quik"])
    start, _, names = str(caught.value).partition("; the flag files of bnkit are ")
    assert start == "flag --flagfile=quik: cannot be read: No such file or directory"
    assert names.split(", ") == sorted(path.stem for path in FLAGS.iterdir())
