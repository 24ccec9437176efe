import json
import math

import numpy as np
import pytest

from bnkit.store import from_json, to_json


def test_plain_values():
    values = {"a": np.array([1.0, np.inf, -np.inf]), "b": (np.int64(3), True, None, "text")}
    assert to_json(values) == {"a": [1.0, "inf", "-inf"], "b": [3, True, None, "text"]}
    assert to_json({1: math.nan}) == {"1": "nan"}
    assert to_json({"a": [-1e300, np.array([9.0, 9.1])]}, 9) == {"a": ["-inf", [9.0, "inf"]]}
    assert to_json([1e300]) == [1e300]
    with pytest.raises(TypeError, match="object"):
        to_json(object())


def test_what_was_written_is_read_as_numbers_again():
    values = {"a": [1.5, math.inf, [-math.inf]], "b": {"c": math.inf}, "d": "text", "e": None}
    text = json.dumps(to_json(values), allow_nan=False)
    assert from_json(json.loads(text)) == values
    (read,) = from_json(to_json([math.nan]))
    assert math.isnan(read)
