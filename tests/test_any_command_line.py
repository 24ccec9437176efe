"""A thousand command lines of good, odd and hostile text: each is run, or refused in one line."""

import contextlib
import dataclasses
import io
import pathlib
import tempfile

import hypothesis
import pytest
from hypothesis import strategies

from bnkit import families, layers, main
from bnkit.kinds import PROBES
from bnkit.settings import Settings

NUMBERS = strategies.one_of(strategies.integers(), strategies.floats()).map(str)
NAMES = strategies.sampled_from(
    [
        *layers.names(),
        *families.MODELS,
        *PROBES,
        "cpu",
        "ray",
        "adam",
        "true",
        "0",
        "glyphs",
        "os:system",
    ]
)
HOSTILE = strategies.sampled_from(
    [
        *("", ",", "..", "../x", "/", "-", "--", "~", "\0", "\udcff", "a\nb", "\u0661", "1_0"),
        *("1e39", "1e-46", "nan", "inf", "9" * 5000, "x" * 5000),
        *("/dev/zero", "<script>", "$(id)", "%s{}"),
    ]
)
ONE = strategies.one_of(NUMBERS, NAMES, HOSTILE, strategies.text(max_size=20))
# The value of a flag: good ones, borders, and anything at all.
VALUES = strategies.one_of(ONE, strategies.lists(ONE, max_size=4).map(",".join))


def arguments_of(flag):
    """One flag in any of its forms."""
    value = VALUES.map(lambda text: f"--{flag}={text}")
    others = strategies.sampled_from([f"--{flag}", f"--no{flag}", f"-{flag}=1", f"--no{flag}=1"])
    return strategies.one_of(value, value, others)


FLAGS = [*(field.name for field in dataclasses.fields(Settings)), "study", "runs_dir", "jobs"]
FLAGS += ["launcher", "cpus_per_run", "gpus_per_run", "ray_address"]
FLAGS += [
    "reports_dir",
    "data_dir",
    "resume",
    "dry_run",
    "estimate",
    "flagfile",
    "help",
    "undefok",
    "unknown",
]


@hypothesis.settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
@hypothesis.given(
    strategies.lists(
        strategies.one_of(
            strategies.sampled_from(FLAGS).flatmap(arguments_of), strategies.text(max_size=10)
        ),
        max_size=4,
    )
)
def test_whatever_is_asked_for_is_run_or_refused_in_one_line(arguments):
    """In a thousand command lines: no other exception, one line, exit code 2, and no file."""
    with (
        tempfile.TemporaryDirectory() as directory,
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(io.StringIO()) as errors,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        patch.chdir(directory)
        for name in ("_list", "_run", "_run_study"):
            patch.setattr(main, name, lambda *arguments: 0)
        code = main.main(["bnkit", *arguments])
        assert not list(pathlib.Path(directory).iterdir())
    shown = errors.getvalue()
    if code == 0:
        assert shown == ""
    else:
        assert code == 2 and shown.startswith("bnkit: ") and len(shown) < 600
        assert shown.endswith("\n") and shown[:-1].isprintable()
