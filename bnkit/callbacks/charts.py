"""The charts of TensorBoard's Custom Scalars tab: bands, and curves that belong together."""

from tensorboard.plugins.custom_scalar import layout_pb2

from bnkit import kinds
from bnkit.kinds import Layout

# Kind -> title of its charts, in the order of the page.
_TITLES = {
    kind.name: kind.title
    for group in kinds.GROUPS
    for kind in kinds.KINDS.values()
    if kind.group == group and kind.has_charts
}


def charts(kind, tags):
    """The charts of records of one kind, a list of `layout_pb2.Chart`.

    A scalar NAME that comes with NAME_lower and NAME_upper becomes a band; scalars of a group that
    is named by kind and field, one for every layer, become the curves of one chart.

    Args:
        kind: Kind of the records.
        tags: Names of the scalars that such a record is written as.
    """
    if kind not in _TITLES:
        return []
    if kind == "train":
        train, test = kinds.KINDS["train"].tags, kinds.KINDS["eval"].tags
        names = [tag.removeprefix(train) for tag in tags]
        return [_lines(name, [f"({train}|{test}){name}$"]) for name in names]
    bands = [tag for tag in tags if {f"{tag}_lower", f"{tag}_upper"} <= set(tags)]
    fields = {f"{kind}_{field.name}": field.name for field in kinds.KINDS[kind].fields}
    groups = dict.fromkeys(tag.split("/")[0] for tag in tags)
    found = [_band(kind, tag) for tag in bands]
    return found + [
        _lines(f"{fields[group]} of each layer", [f"{group}/"])
        for group in groups
        if group in fields
    ]


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
    title = _words(name)
    if kinds.KINDS[kind].key:
        title += group.removeprefix(kind).replace("_", ", direction ")
    if kinds.KINDS[kind].layout is Layout.LAYER:
        title += ", median and range over layers"
    series = layout_pb2.MarginChartContent.Series(
        value=tag, lower=f"{tag}_lower", upper=f"{tag}_upper"
    )
    content = layout_pb2.MarginChartContent(series=[series])
    return layout_pb2.Chart(title=title, margin=content)


def _words(name):
    return name.replace("_", " ")
