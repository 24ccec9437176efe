"""Values as JSON holds them, and back."""

import math
import numbers

# How numbers that JSON does not have are written.
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(value, largest=math.inf):
    """Plain JSON values; non-finite numbers become "nan", "inf" and "-inf".

    Args:
        value: Numbers, texts, arrays, and lists and dicts of these.
        largest: What is beyond it counts as infinite.
    """
    if isinstance(value, dict):
        return {str(key): to_json(item, largest) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, largest) for item in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        value = float(value)
        if abs(value) > largest:
            value = math.copysign(math.inf, value)
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return to_json(value.tolist(), largest)
    raise TypeError(f"cannot be written as JSON. Received: {value!r} of type {type(value)}")


def from_json(value):
    """What `to_json` wrote: "nan", "inf" and "-inf" as numbers again."""
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_json(item) for item in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value
