"""Rows from files of any size: Ray Data reads them piece by piece, several at once, beside the training.

A piece is a range of bytes of a file, widened to whole lines, so that no file needs to fit into memory.
"""

from __future__ import annotations

import logging
import queue
import threading
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import fsspec
import numpy as np

from submarine_ray.ml.config import Input

PIECE_BYTES = 8 * 2**20
AHEAD = 2  # blocks that wait for the training
READERS = 4  # pieces that are read and parsed at the same time
CRITEO_NUMBERS, CRITEO_CATEGORIES = 13, 26
_NUMBER_IDS = CRITEO_NUMBERS + 1  # ids below are those of the numbers, 0 that of nothing

Rows = dict[str, np.ndarray]


class DataError(ValueError):
    """A file, or a line of it, is not what the config says."""


def dataset(paths: Sequence[str], kind: str, field_size: int, feature_size: int, seed: int | None) -> Any:
    """A Ray dataset of `label`, `ids` and `values`; with `seed`, in an order drawn from it. Raises DataError."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of each pass over the rows
    found = pieces(paths)
    if seed is not None:
        np.random.default_rng(seed).shuffle(found)
    read = partial(read_piece, kind=kind, field_size=field_size, feature_size=feature_size, seed=seed)
    # No CPU of the cluster's books: the workers may have them all, and would wait for rows for ever.
    compute = ray.data.TaskPoolStrategy(size=min(READERS, len(found)))
    items = ray.data.from_items(found, override_num_blocks=len(found))
    return items.map_batches(read, batch_size=1, num_cpus=0, compute=compute)


def of(source: Input, paths: Sequence[str], training: Any, shuffle: bool) -> Any:
    """The dataset of some of a config's files."""
    seed = training.seed if shuffle else None
    return dataset(paths, source.type, training.field_size, training.feature_size, seed)


class Epochs:
    """The rows again and again, read ahead on a thread: starting to read takes a second, and no epoch waits for it."""

    def __init__(self, rows: Any, epochs: int, device: Any) -> None:
        self._blocks: queue.Queue[Any] = queue.Queue(AHEAD)  # blocks, None after each epoch, or what went wrong
        self._rows, self._epochs, self._device = rows, epochs, device
        threading.Thread(target=self._read, name="rows", daemon=True).start()

    def batches(self, size: int) -> Iterator[dict[str, Any]]:
        """The next epoch's batches of `size` rows as tensors, the last one smaller. Raises what reading raised.

        Cut here from whole blocks: Ray Data's own batches cost more than a step of a small model.
        """
        import torch

        rest: dict[str, Any] = {}
        while (block := self._blocks.get()) is not None:
            if isinstance(block, Exception):
                raise block
            if rest:
                block = {name: torch.cat([rest[name], column]) for name, column in block.items()}
            count = len(block["label"])
            whole = count - count % size
            for begin in range(0, whole, size):
                yield {name: column[begin : begin + size] for name, column in block.items()}
            rest = {name: column[whole:] for name, column in block.items()} if whole < count else {}
        if rest:
            yield rest

    def _read(self) -> None:
        try:
            for _ in range(self._epochs):
                for block in self._rows.iter_torch_batches(batch_size=None, device=self._device):
                    self._blocks.put(block)
                self._blocks.put(None)
        except Exception as failure:  # noqa: BLE001 (whatever it is, the reader of the batches must hear of it)
            self._blocks.put(failure)


def pieces(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Ranges of bytes of the files. Raises DataError."""
    found = []
    for path in paths:
        try:
            filesystem, name = fsspec.core.url_to_fs(path)
            size = int(filesystem.size(name))
        except (OSError, ValueError, ImportError) as failure:
            raise DataError(f"{path} cannot be read: {failure}") from failure
        found += [{"path": path, "start": at, "end": min(at + PIECE_BYTES, size)} for at in range(0, size, PIECE_BYTES)]
    if not found:
        raise DataError(f"there is nothing in {', '.join(paths) or 'no file at all'}")
    return found


def read_piece(batch: dict[str, Any], kind: str, field_size: int, feature_size: int, seed: int | None) -> Rows:
    """The rows of one piece. Raises DataError."""
    path, start, end = str(batch["path"][0]), int(batch["start"][0]), int(batch["end"][0])
    try:
        rows = parse(whole_lines(path, start, end), kind, field_size, feature_size)
    except DataError as failure:
        raise DataError(f"{path}, from byte {start} on: {failure}") from None
    if seed is not None:
        order = np.random.default_rng([seed, start]).permutation(len(rows["label"]))
        rows = {name: column[order] for name, column in rows.items()}
    return rows


def whole_lines(path: str, start: int, end: int) -> list[bytes]:
    """The lines that begin in a range of bytes."""
    with fsspec.open(path, "rb") as file:
        file.seek(max(0, start - 1))
        if start > 0:
            file.readline()  # of the piece before, up to the newline that may be its very last byte
        left = end - file.tell()
        text = file.read(left) if left > 0 else b""
        if text and not text.endswith(b"\n"):
            text += file.readline()
    return [line for line in text.splitlines() if line.strip()]


def parse(lines: Sequence[bytes], kind: str, field_size: int, feature_size: int) -> Rows:
    """Rows from lines; missing fields are 0. Raises DataError."""
    if kind == "criteo":
        return _criteo(lines, field_size, feature_size)
    rows = _libsvm(lines, field_size)
    largest, smallest = (rows["ids"].max(initial=0), rows["ids"].min(initial=0))
    if largest > feature_size or smallest < 0:
        wrong = largest if largest > feature_size else smallest
        raise DataError(f"there is a feature {wrong}, and training.feature_size is {feature_size}")
    return rows


def _libsvm(lines: Sequence[bytes], field_size: int) -> Rows:
    width = 1 + 2 * field_size
    numbers = np.empty(0)
    if all(line.count(b":") == field_size for line in lines):  # the common case, all at once
        text = b" ".join(lines).replace(b":", b" ")
        try:
            numbers = np.fromstring(text, dtype=np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            numbers = np.empty(0)
    if len(numbers) == width * len(lines):
        table = numbers.reshape(len(lines), width)
    else:
        table = np.stack([_libsvm_row(line, width) for line in lines]) if lines else np.empty((0, width))
    return _rows(table[:, 0], table[:, 1::2], table[:, 2::2])


def _libsvm_row(line: bytes, width: int) -> np.ndarray:
    row = np.zeros(width)
    parts = line.replace(b":", b" ").split()
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise DataError(f"{line[:80].decode(errors='replace')!r} is no `label id:value id:value ...`") from None
    if len(numbers) % 2 == 0:
        raise DataError(f"{line[:80].decode(errors='replace')!r} is no `label id:value id:value ...`")
    if len(numbers) > width:
        raise DataError(f"a row has {len(numbers) // 2} features, and training.field_size is {width // 2}")
    row[: len(numbers)] = numbers
    return row


def _criteo(lines: Sequence[bytes], field_size: int, feature_size: int) -> Rows:
    fields = CRITEO_NUMBERS + CRITEO_CATEGORIES
    if field_size != fields or feature_size <= _NUMBER_IDS:
        raise DataError(f"criteo needs training.field_size {fields} and a training.feature_size above {_NUMBER_IDS}")
    found = [line for line in lines if not line.startswith(b"label")]
    table = [line.split(b"\t" if b"\t" in line else b",") for line in found]
    for cells, line in zip(table, found, strict=True):
        if len(cells) != 1 + fields:
            raise DataError(f"{line[:80].decode(errors='replace')!r} has {len(cells)} columns, not {1 + fields}")
    ids = np.zeros((len(table), fields))
    values = np.ones((len(table), fields))
    ids[:, :CRITEO_NUMBERS] = np.arange(1, _NUMBER_IDS)
    try:
        label = np.array([float(cells[0]) for cells in table])
        numbers = [[float(cell or 0) for cell in cells[1:_NUMBER_IDS]] for cells in table]
    except ValueError as failure:
        raise DataError(f"a number cannot be read: {failure}") from None
    # Counts with long tails: their logarithm is what models of this data use.
    raw = np.array(numbers).reshape(len(table), CRITEO_NUMBERS)
    values[:, :CRITEO_NUMBERS] = np.sign(raw) * np.log1p(np.abs(raw))
    buckets = feature_size - _NUMBER_IDS + 1
    for row, cells in enumerate(table):
        for field, cell in enumerate(cells[_NUMBER_IDS:], start=CRITEO_NUMBERS):
            # A category is wherever its hash leads, the same in every process; each field has its own hashes.
            ids[row, field] = zlib.crc32(b"%d=%s" % (field, cell)) % buckets + _NUMBER_IDS if cell else 0
            values[row, field] = 1.0 if cell else 0.0
    return _rows(label, ids, values)


def _rows(label: np.ndarray, ids: np.ndarray, values: np.ndarray) -> Rows:
    return {
        "label": (label > 0).astype(np.float32),  # libsvm files have 0 and 1, or -1 and 1
        "ids": np.ascontiguousarray(ids, dtype=np.int64),
        "values": np.ascontiguousarray(values, dtype=np.float32),
    }
