"""Parquet: a file of pictures -> a file of results with the same rows in the same order.

The column of pictures holds the bytes of their files, or structs with a field `bytes` (as Hugging Face's
datasets have); in its place comes a column of the results' bytes, null where a picture failed. All other
columns stay as they are. Also writes the tables of a run.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aecodec.cli import files
from aecodec.cli.many.work import Task, input_facts, shard_outcome
from aecodec.errors import AecodecError, InputError, UsageError

if TYPE_CHECKING:
    from aecodec.cli.many.records import Row
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec

BATCH = 16
"""Rows that are read at once."""
GROUP_ROWS, GROUP_BYTES = 4096, 64 << 20
"""A row group of the result is written when it has as many."""
BYTES = ("binary", "large_binary", "binary_view")
"""Types of columns; an older pyarrow has no function that asks for the last."""
STALE = (b"huggingface", b"pandas")
"""Keys of the schema's metadata that describe columns: they would describe the one that is gone."""


def pyarrow() -> Any:
    """UsageError where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow; run: pip install 'aecodec[parquet]'") from None
    return pyarrow


def code_shard(task: Task, codec: Codec, job: Job) -> Outcome:
    """InputError where the file or its schema cannot be used; pictures fail one by one."""
    pa = pyarrow()
    began = time.perf_counter()
    rows: list[Row] = []
    with files.opened(job.source) as stream, task.new_shard(job) as shard:
        with _reading(job.source, pa):
            table = pa.parquet.ParquetFile(stream)
            index = _column(job.source, table.schema_arrow, task)
            schema = _schema(job.source, table.schema_arrow, index, task)
        with pa.parquet.ParquetWriter(shard.stream, schema) as writer:
            batches: list[Any] = []
            for batch in _batches(job.source, table, pa):
                results = []
                for source in _pictures(batch.column(index)):
                    data, row = task.picture(codec, job.source, str(len(rows)), source)
                    results.append(data)
                    rows.append(row)
                columns = list(batch.columns)
                columns[index] = pa.array(results, schema.field(index).type)
                batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
                full = sum(b.num_rows for b in batches) >= GROUP_ROWS
                if full or sum(b.nbytes for b in batches) >= GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(batches))
                    batches.clear()
            if batches:
                writer.write_table(pa.Table.from_batches(batches))
        source_facts = input_facts(job.source, stream)
    return shard_outcome(job, rows, shard, source_facts, time.perf_counter() - began)


def write_rows(name: str, rows: Iterable[Row]) -> None:
    """Rows of a run's table -> a Parquet file; its columns are the keys of all rows."""
    pa = pyarrow()
    every = list(rows)
    keys = list(dict.fromkeys(key for row in every for key in row)) or ["input"]
    table = pa.table({key: [_escaped(row.get(key)) for row in every] for key in keys})
    out = io.BytesIO()
    pa.parquet.write_table(table, out)
    files.write_output(name, out.getvalue(), force=True)


def _escaped(value: Any) -> Any:
    """Names need not be UTF-8, texts in Parquet must: the rest is written as JSON and stdout have it."""
    if isinstance(value, list):
        return [_escaped(part) for part in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _column(name: str, schema: Any, task: Task) -> int:
    """The index of the column of pictures."""
    asked = task.args.column
    wanted = asked or ("image" if task.args.action == "encode" else "aec")
    if wanted in schema.names:
        if not _holds_bytes(schema.field(wanted).type):
            kind = schema.field(wanted).type
            raise InputError(f"{name!r}: column {wanted!r} is {kind}, no bytes; choose with --column")
        return int(schema.get_field_index(wanted))
    able = [field.name for field in schema if _holds_bytes(field.type)]
    if asked or len(able) != 1:
        found = ", ".join(schema.names) or "none"
        raise InputError(f"{name!r}: no column {wanted!r}; it has {found}; choose with --column")
    return int(schema.get_field_index(able[0]))


def _schema(name: str, schema: Any, index: int, task: Task) -> Any:
    """Of the result."""
    pa = pyarrow()
    result = task.args.output_column or ("image" if task.args.action == "decode" else "aec")
    if result in [n for i, n in enumerate(schema.names) if i != index]:
        raise InputError(f"{name!r} has a column {result!r} already; choose with --output-column")
    kept = {key: value for key, value in (schema.metadata or {}).items() if key not in STALE}
    return schema.set(index, pa.field(result, pa.binary())).with_metadata(kept)


def _holds_bytes(kind: Any) -> bool:
    if pyarrow().types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_bytes(kind.field(index).type)
    return str(kind) in BYTES


def _pictures(column: Any) -> Iterator[bytes | None]:
    for value in column.to_pylist():
        yield value["bytes"] if isinstance(value, dict) else value


def _batches(name: str, table: Any, pa: Any) -> Iterator[Any]:
    found = table.iter_batches(batch_size=BATCH)
    while True:
        with _reading(name, pa):
            batch = next(found, None)
        if batch is None:
            return
        yield batch


@contextmanager
def _reading(name: str, pa: Any) -> Iterator[None]:
    try:
        yield
    except AecodecError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{name!r}: cannot be read as Parquet: {error}") from None
