"""Reading: files and frames -> typed rows -> batches. One reader, for analysis and training alike."""

from tfwd.data.rows import Batch, Rows
from tfwd.data.schema import resolve_schema
from tfwd.data.source import Source
from tfwd.data.tfrecord.writer import write_tfrecord

__all__ = ["Batch", "Rows", "Source", "resolve_schema", "write_tfrecord"]
