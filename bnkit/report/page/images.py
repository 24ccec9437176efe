"""The figures of a report as TensorBoard images, written without TensorFlow."""

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
from tensorboard.plugins.image import metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from bnkit.report.page import figure_files
from bnkit.store import tensorboard_directory

_SUFFIX = ".report"


def show_report(page, path, step=0):
    """Shows the figures of a report where TensorBoard has the run or the study that it is about.

    Args:
        page: Path of the report's page.
        path: The directory of the run or the study.
        step: The step at which TensorBoard shows them.
    """
    write_images(tensorboard_directory(path), figure_files.pngs(page.parent), step)


def write_images(directory, pngs, step=0):
    """Shows figures in TensorBoard as `report/NAME`, in place of those of an earlier report.

    Args:
        directory: Where the event files go, made if missing.
        pngs: Paths `NAME.png`.
        step: The step at which TensorBoard shows them.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    earlier = list(directory.glob(f"events.out.tfevents.*{_SUFFIX}"))
    now = time.time()
    # A new name: TensorBoard would not notice new content in a file that it has already read.
    path = directory / f"events.out.tfevents.{now:.6f}{_SUFFIX}"
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in (
            {"file_version": "brain.Event:2"},
            *({"step": step, "summary": _summary(pathlib.Path(png))} for png in pngs),
        ):
            writer.write(event_pb2.Event(wall_time=now, **event).SerializeToString())
    for old in earlier:
        old.unlink()


def _summary(png):
    content = png.read_bytes()
    # The header of a PNG file: signature, length and name of the first chunk, width and height.
    width, height = struct.unpack(">II", content[16:24])
    parts = [str(width).encode(), str(height).encode(), content]
    shape = tensor_shape_pb2.TensorShapeProto()
    shape.dim.add(size=len(parts))
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=parts)
    value = summary_pb2.Summary.Value(
        tag=f"report/{png.stem}",
        tensor=tensor,
        metadata=metadata.create_summary_metadata(display_name=None, description=None),
    )
    return summary_pb2.Summary(value=[value])
