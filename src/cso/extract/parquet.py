"""Rows as Parquet. (pyarrow comes without types, so the checks on unknown types are off in this file.)"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cso.extract.rows import Columns, Kind, Row, Value
from cso.files import replacing

BATCH = 1_000

_TYPES: Mapping[Kind, pa.DataType] = {
    "messages": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "truth": pa.bool_(),
}


def write_parquet(path: Path, rows: Iterable[Row], columns: Columns) -> None:
    """Rows with an explicit schema, so that a column of nulls keeps its type; half surrogate pairs become U+FFFD.

    Raises StoreError.
    """
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
    waiting = iter(rows)
    with replacing(path) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        while batch := [_encodable(row) for row in islice(waiting, BATCH)]:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def _encodable(row: Row) -> Row:
    return {name: _clean(value) for name, value in row.items()}


def _clean(value: Value) -> Value:
    match value:
        case str():
            return _whole(value)
        case list():
            return [{name: _whole(text) for name, text in message.items()} for message in value]
        case _:
            return value


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
