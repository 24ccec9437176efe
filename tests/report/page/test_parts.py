"""Which runs share figures."""

from bnkit.report.page import parts
from bnkit.report.runs import Run


def run(model, dataset, name="a"):
    return Run(None, {"run": name, "settings": {"model": model, "dataset": dataset}}, {}, {})


def test_models_and_data_sets_have_parts_of_their_own():
    runs = [run("vgg11", "glyphs"), run("dln", "gaussian"), run("vgg11", "glyphs", "b")]
    runs += [run("vgg11", "cifar10")]
    found = parts.split(runs)
    assert [(part.title, part.suffix) for part in found] == [
        ("vgg11 on glyphs", "-vgg11-glyphs"),
        ("dln on gaussian", "-dln-gaussian"),
        ("vgg11 on cifar10", "-vgg11-cifar10"),
    ]
    assert [part.runs for part in found] == [[runs[0], runs[2]], [runs[1]], [runs[3]]]


def test_one_part_has_no_name():
    runs = [run("vgg11", "glyphs"), run("vgg11", "glyphs", "b")]
    assert parts.split(runs) == [parts.Part("", "", runs)]


def test_names_of_files_are_sound_and_differ():
    found = parts.split([run("a:b/c", "d"), run("a_b:c", "d"), run("a_b_c", "d")])
    suffixes = [part.suffix for part in found]
    assert suffixes == ["-a_b_c-d", "-a_b_c-d_", "-a_b_c-d__"]
