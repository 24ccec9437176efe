"""The registry of kinds, and that everything that has to know a kind does.

Whoever adds a probe and forgets one of its places finds it named here.
"""

import ast
import dataclasses
import pathlib

import pytest
import small

from bnkit import callbacks, kinds
from bnkit.report.figures import FIGURES
from bnkit.settings import Settings

ROOT = pathlib.Path(__file__).parent.parent
PROBED = [kind for kind in kinds.KINDS.values() if kind.probe]


@pytest.fixture(scope="module")
def records():
    """Kind -> a record of it, from a run of all probes."""
    found = {}
    watchers = [
        callback(every=2, write=lambda record: found.setdefault(record["kind"], record))
        for callback in callbacks.PROBES.values()
    ]
    small.trainer().fit(small.batches(), 3, watchers)
    return found


def readme_rows():
    """The rows of the README's table of probes, as the registry has them."""
    return [
        f"| `{kind.probe}` | {kind.measures} | {kind.source} | {kind.cost} |" for kind in PROBED
    ]


def test_names_groups_and_fields_are_valid():
    for name, kind in kinds.KINDS.items():
        assert kind.name == name and kind.group in kinds.GROUPS and kind.title
        assert len({field.name for field in kind.fields}) == len(kind.fields)
        # Lists of several layouts could not be rows of one table.
        layouts = {field.layout for field in kind.fields} - {kinds.Layout.RECORD}
        assert len(layouts) <= 1


def test_columns_are_scalars_then_what_lists_belong_to_then_lists():
    """Written out once, for the kind that has all of them."""
    assert kinds.KINDS["random_landscape"].columns == (
        "loss",
        "gradient_norm",
        "smoothness",
        "direction",
        "step_size",
        "loss_after_step",
        "gradient_distance",
    )
    assert kinds.KINDS["activations"].columns[:3] == ("unit", "mean", "variance")
    assert kinds.KINDS["ics"].columns == ("l2", "cosine", "gradient_norm")


@pytest.mark.parametrize("probe", kinds.PROBES)
def test_every_probe_has_its_own_kind_and_a_summary(probe):
    own, *_ = kinds.of_probe(probe)
    assert own.name == probe, f"the first kind of {probe} in bnkit/kinds.py must have its name"
    assert own.summary, f"{probe} needs a `summary` in bnkit/kinds.py: --help shows it"


@pytest.mark.parametrize("probe", kinds.PROBES)
def test_every_probe_has_a_callback(probe):
    assert probe in callbacks.PROBES, (
        f"{probe} needs a callback: a class of kind {probe!r} in bnkit/callbacks/, listed in "
        "PROBES of bnkit/callbacks/__init__.py"
    )
    assert set(callbacks.PROBES) <= set(kinds.PROBES), "a callback's kind is not in bnkit/kinds.py"


@pytest.mark.parametrize("kind", PROBED, ids=lambda kind: kind.name)
def test_a_callback_writes_the_fields_of_the_registry(kind, records):
    assert kind.name in records, f"no callback writes records of kind {kind.name!r}"
    fields = {field.name for field in kind.fields} | set(kind.labels)
    how = {"step", "kind", "statistics", "added_losses", "precision"}
    assert set(records[kind.name]) - how == fields, (
        f"fields of {kind.name} in bnkit/kinds.py and in its records differ"
    )


@pytest.mark.parametrize("kind", PROBED, ids=lambda kind: kind.name)
def test_every_kind_has_a_figure(kind):
    assert any(kind.name in entry.kinds for entry in FIGURES), (
        f"{kind.name} needs a figure: a file in bnkit/report/figures/, listed in FIGURES of "
        "bnkit/report/figures/__init__.py"
    )


def test_the_readme_lists_every_kind():
    lines = (ROOT / "README.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| `--probes=`"))
    end = lines.index("", start)
    table = "\n".join(readme_rows())
    assert "\n".join(lines[start + 2 : end]) == table, (
        f"the README's table of probes must be\n{table}"
    )


def test_the_benchmark_has_a_row_for_every_probe():
    tree = ast.parse((ROOT / "benchmarks/probes.py").read_text())
    (rows,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "LEAST"
    ]
    assert {key.value for key in rows.keys} == set(kinds.PROBES), (
        "LEAST of benchmarks/probes.py must have a row for every probe"
    )


@pytest.mark.parametrize("probe", kinds.PROBES)
def test_every_probe_has_tests_of_its_callback(probe):
    path = ROOT / f"tests/callbacks/test_{probe}.py"
    name = callbacks.PROBES[probe].__name__
    assert path.exists() and f"callbacks.{name}" in path.read_text(), (
        f"{name} needs tests in tests/callbacks/test_{probe}.py"
    )


@pytest.mark.parametrize("kind", kinds.KINDS.values(), ids=lambda kind: kind.name)
def test_no_column_has_the_name_of_a_setting(kind):
    """Settings are columns of the same data frame: a figure would take the one for the other."""
    settings = {field.name for field in dataclasses.fields(Settings)}
    assert not settings & {*kind.columns, *kind.labels.values()}
