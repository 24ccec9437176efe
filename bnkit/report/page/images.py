"""A report as TensorBoard shows it: its figures, and where it is. Written without TensorFlow."""

import pathlib
import struct
import time

from tensorboard.compat.proto import (
    event_pb2,
    summary_pb2,
    tensor_pb2,
    tensor_shape_pb2,
    types_pb2,
)
from tensorboard.plugins.image import metadata as image
from tensorboard.plugins.text import metadata as text
from tensorboard.summary.writer.record_writer import RecordWriter

from bnkit.report.page import figure_files
from bnkit.store import EVENTS, REPORT_EVENTS, tensorboard_directory


def show_report(page, path, step=0):
    """Shows a report where TensorBoard has the run or the study that it is about.

    Args:
        page: Path of the report's page.
        path: The directory of the run or the study.
        step: The step at which TensorBoard shows them.
    """
    card = f"The report: `{page.resolve()}`"
    write_images(tensorboard_directory(path), figure_files.pngs(page.parent), step, card)


def write_images(directory, pngs, step=0, card=""):
    """Shows figures in TensorBoard as `report/NAME`, in place of those of an earlier report.

    Args:
        directory: Where the event files go, made if missing.
        pngs: Paths `NAME.png`.
        step: The step at which TensorBoard shows them.
        card: What the tab Text shows as `run/report`, in Markdown; nothing if empty.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    earlier = list(directory.glob(f"{EVENTS}*{REPORT_EVENTS}"))
    now = time.time()
    # A new name: TensorBoard would not notice new content in a file that it has already read.
    path = directory / f"{EVENTS}{now:.6f}{REPORT_EVENTS}"
    values = [_text("run/report", card)] if card else []
    values += [_image(pathlib.Path(png)) for png in pngs]
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in (
            {"file_version": "brain.Event:2"},
            *({"step": step, "summary": summary_pb2.Summary(value=[value])} for value in values),
        ):
            writer.write(event_pb2.Event(wall_time=now, **event).SerializeToString())
    for old in earlier:
        old.unlink()


def _text(tag, content):
    metadata = text.create_summary_metadata(display_name=None, description=None)
    # Without dimensions: of a list, TensorBoard makes a table.
    return _value(tag, [content.encode()], tensor_shape_pb2.TensorShapeProto(), metadata)


def _image(png):
    content = png.read_bytes()
    # The header of a PNG file: signature, length and name of the first chunk, width and height.
    width, height = struct.unpack(">II", content[16:24])
    metadata = image.create_summary_metadata(display_name=None, description=None)
    parts = [str(width).encode(), str(height).encode(), content]
    shape = tensor_shape_pb2.TensorShapeProto()
    shape.dim.add(size=len(parts))
    return _value(f"report/{png.stem}", parts, shape, metadata)


def _value(tag, parts, shape, metadata):
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=parts)
    return summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
