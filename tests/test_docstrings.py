"""The examples in docstrings give what they say."""

import doctest
import importlib
import pathlib
import sys

import keras
import numpy as np
import pytest

import bnkit
from bnkit.probes import landscape

ROOT = pathlib.Path(bnkit.__file__).parent
NAMES = {"keras": keras, "np": np, "landscape": landscape}


def modules_with_examples():
    return [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(ROOT.rglob("*.py"))
        if ">>> " in path.read_text()
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name):
    importlib.import_module(name)
    # A function may have the name of its module, and hide it in the package.
    found = doctest.testmod(sys.modules[name], extraglobs=NAMES)
    assert found.attempted and not found.failed
