"""Images, tables, audio and other things that are no numbers: what may be logged, where it lies among a run's
artifacts, and how it travels.

A batch is items one after the other. Each is a line of JSON, the header, and then as many bytes as that says: the
content, and the preview of an image. A queued item has the same form, so a batch is made by joining files
(client/media_queue.py). Images lie where `mlflow.log_image` puts them, under its names; the others beside them.
Standard library only: this runs beside every replica.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

from submarine_ray.spec.records import shown

IMAGE, FIGURE, TABLE, TEXT, HISTOGRAM, AUDIO = "image", "figure", "table", "text", "histogram", "audio"
CONFUSION_MATRIX, ROC_CURVE, PR_CURVE = "confusion_matrix", "roc_curve", "pr_curve"
# Tables that are drawn as charts, too.
CHARTED = (CONFUSION_MATRIX, ROC_CURVE, PR_CURVE)
_DIRECTORIES = {
    IMAGE: "images", FIGURE: "figures", TABLE: "tables", TEXT: "texts", HISTOGRAM: "histograms", AUDIO: "audio",
    **dict.fromkeys(CHARTED, "tables"),
}  # fmt: skip
# What a browser is told that a file is. None of these can run anything.
CONTENT_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "wav": "audio/wav",
    "mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4", "json": "application/json",
    "txt": "text/plain; charset=utf-8",
}  # fmt: skip
SUFFIXES = {
    IMAGE: ("png",), FIGURE: ("png", "html"), TABLE: ("json",), TEXT: ("txt",), HISTOGRAM: ("json",),
    AUDIO: ("wav", "mp3", "ogg", "flac", "m4a"), **dict.fromkeys(CHARTED, ("json",)),
}  # fmt: skip
# Around the data of a plotly figure in its HTML file.
PLOTLY_BEGIN, PLOTLY_END = '<script type="application/json" id="data">', "</script>"
KINDS = tuple(_DIRECTORIES)
MAX_BYTES = 16 * 2**20  # of one item's content
MAX_PREVIEW_BYTES = 2**18
MAX_BATCH_BYTES = 24 * 2**20
MAX_KEY, MAX_CAPTION = 100, 1000
MAX_PIXELS = 2**16  # on a side
ITEM_SUFFIX = ".item"  # of the files in a queue
_HEADER_BYTES = 2**14
_INT64 = 2**63
# MLflow's rule for the keys of images, which become names of files; and no key is a directory's own name.
# MariaDB takes `a` and `a ` for one, so none ends with a blank.
_KEY = re.compile(rf"(?=.*[A-Za-z0-9])(?! )[A-Za-z0-9_\-./ ]{{1,{MAX_KEY}}}(?<! )")
_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class WrongMedia(ValueError):
    """An item, or a batch, that cannot be stored as it is."""


@dataclass(frozen=True, slots=True)
class MediaHeader:
    """What is known of an item beside its content. `name` is a UUID; `timestamp` in milliseconds since 1970; `size` and
    `preview` in bytes; `width` and `height` in pixels, 0 where they are not known.
    """

    kind: str
    key: str
    step: int
    timestamp: int
    name: str
    suffix: str
    size: int
    caption: str = ""
    preview: int = 0
    width: int = 0
    height: int = 0

    @property
    def path(self) -> str:
        """Where it lies among the run's artifacts."""
        return f"{self._stem}.{self.suffix}"

    @property
    def preview_path(self) -> str:
        """Where its preview lies, as MLflow's pages expect it."""
        return f"{self._stem}+compressed.webp"

    @property
    def _stem(self) -> str:
        name = f"{self.key.replace('/', '~')}+step+{self.step}+timestamp+{self.timestamp}+{self.name}"
        return f"{_DIRECTORIES[self.kind]}/{name}"

    def written(self) -> bytes:
        """The line that stands before the content."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> MediaHeader:
        """The header that a line holds. Raises WrongMedia."""
        try:
            found = json.loads(line)
            header = cls(**found)
        except (TypeError, ValueError, RecursionError) as failure:
            raise WrongMedia(f"{shown(line)} is not the header of an item: {failure}") from failure
        header._check()
        return header

    def _check(self) -> None:
        wanted = {one.name: int if "int" in str(one.type) else str for one in fields(self)}
        for name, kind in wanted.items():
            if type(getattr(self, name)) is not kind:
                raise WrongMedia(f"{name}: {shown(getattr(self, name))} is not {kind.__name__}")
        checked_key(self.key, self.kind)
        checked_caption(self.caption)
        if self.kind not in KINDS or self.suffix not in SUFFIXES[self.kind]:
            raise WrongMedia(f"kind: {shown(self.kind)} with files .{self.suffix[:8]} is not known")
        if not _NAME.fullmatch(self.name):
            raise WrongMedia(f"name: {shown(self.name)} is not a UUID")
        if not (-_INT64 <= self.step < _INT64 and 0 <= self.timestamp < _INT64):
            raise WrongMedia("step, timestamp: they have 64 bits, and time begins in 1970")
        if not (0 <= self.size <= MAX_BYTES and 0 <= self.preview <= MAX_PREVIEW_BYTES):
            raise WrongMedia(f"size: an item has at most {MAX_BYTES} bytes, its preview {MAX_PREVIEW_BYTES}")
        if self.preview and self.kind != IMAGE:
            raise WrongMedia("preview: only images have one")
        if not (0 <= self.width <= MAX_PIXELS and 0 <= self.height <= MAX_PIXELS):
            raise WrongMedia(f"width, height: an image has at most {MAX_PIXELS} pixels on a side")


@dataclass(frozen=True, slots=True)
class MediaItem:
    """A header with its content."""

    header: MediaHeader
    content: bytes
    preview: bytes = b""

    def written(self) -> bytes:
        """The item as it travels."""
        return self.header.written() + self.content + self.preview


def items(batch: bytes) -> Iterator[MediaItem]:
    """The items of a batch. Raises WrongMedia."""
    place = 0
    while place < len(batch):
        end = batch.find(b"\n", place, place + _HEADER_BYTES)
        if end < 0:
            raise WrongMedia(f"there is no header at byte {place} of the batch")
        header = MediaHeader.read(batch[place:end])
        first, middle = end + 1, end + 1 + header.size
        place = middle + header.preview
        if place > len(batch):
            raise WrongMedia(f"{header.kind} {header.key!r}: its content is cut off")
        yield MediaItem(header, batch[first:middle], batch[middle:place])


def path(run_id: str) -> str:
    """Where a run's batches are sent, below the service's URL."""
    return f"/api/v1/run/{run_id}/media"


def new_name() -> str:
    """The name of an item, which no other has."""
    return str(uuid.uuid4())


def checked_key(key: object, kind: str) -> str:
    """`key`, if it can name something of this kind. Raises TypeError, WrongMedia."""
    if not isinstance(key, str):
        raise TypeError(
            f"{kind}: the key must be text, not {type(key).__name__}; what is logged comes first, then its key"
        )
    if not _KEY.fullmatch(key):
        raise WrongMedia(
            f"{kind}: {shown(key)} cannot be a key: use 1 to {MAX_KEY} letters, digits, '_', '-', '.', '/' "
            "and inner blanks"
        )
    return key


def checked_caption(caption: object) -> str:
    """`caption` as text, if it can be stored. Raises WrongMedia."""
    text = str(caption)
    if len(text) > MAX_CAPTION:
        raise WrongMedia(f"the caption {shown(text)} has {len(text)} characters; at most {MAX_CAPTION} are kept")
    try:
        text.encode()
    except UnicodeEncodeError as failure:
        raise WrongMedia(f"the caption {shown(text)} is not Unicode text") from failure
    return text
