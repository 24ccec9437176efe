"""The charts of TensorBoard's Custom Scalars tab: bands, and curves that belong together."""

from tensorboard.plugins.custom_scalar import layout_pb2

from bnkit import kinds

# Kind -> title of its charts, in the order of the page.
_TITLES = {
    kind.name: kind.title
    for group in kinds.GROUPS
    for kind in kinds.KINDS.values()
    if kind.group == group and kind.has_charts
}


def charts(kind, tags):
    """The charts of records of one kind, a list of `layout_pb2.Chart`.

    A scalar NAME that comes with NAME_lower and NAME_upper becomes a band; scalars that share what
    is before their slash, such as one for every layer, become the curves of one chart.

    Args:
        kind: Kind of the records.
        tags: Names of the scalars that such a record is written as.
    """
    if kind not in _TITLES:
        return []
    if kind == "train":
        names = [tag.removeprefix("train/") for tag in tags]
        return [_lines(name, [f"(train|eval)/{name}$"]) for name in names]
    bands = [tag for tag in tags if {f"{tag}_lower", f"{tag}_upper"} <= set(tags)]
    if bands:
        return [_band(kind, tag) for tag in bands]
    groups = dict.fromkeys(tag.split("/")[0] for tag in tags)
    return [_lines(group.removeprefix(f"{kind}_"), [f"{group}/"]) for group in groups]


def layout(found):
    """The page: kind of record -> list of its charts, as one `layout_pb2.Layout`."""
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=title, chart=found[kind])
            for kind, title in _TITLES.items()
            if found.get(kind)
        ]
    )


def _lines(name, patterns):
    content = layout_pb2.MultilineChartContent(tag=patterns)
    return layout_pb2.Chart(title=_words(name), multiline=content)


def _band(kind, tag):
    group, name = tag.split("/")
    direction = group.removeprefix(kind).replace("_", ", direction ")
    series = layout_pb2.MarginChartContent.Series(
        value=tag, lower=f"{tag}_lower", upper=f"{tag}_upper"
    )
    content = layout_pb2.MarginChartContent(series=[series])
    return layout_pb2.Chart(title=_words(name) + direction, margin=content)


def _words(name):
    return name.replace("_", " ")
