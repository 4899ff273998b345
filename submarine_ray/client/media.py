"""`log_image`, `log_table` and the like for training code, on any rank.

Each call turns what it is given into a file's bytes, at once, because the code goes on changing it, and queues them:
a background process or the runner sends them in batches (media_shipper.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from submarine_ray.client import tracking
from submarine_ray.spec.records import checked_step
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool.media import MAX_BYTES, MediaHeader, MediaItem, WrongMedia

_MIB = 2**20


class Encoded(NamedTuple):
    """A file's content, and how its name ends; of an image its size in pixels and a small form of it, too."""

    content: bytes
    suffix: str
    preview: bytes = b""
    width: int = 0
    height: int = 0


def log_image(image: Any, key: str, step: int | None = 0, caption: str = "") -> None:
    """Log an image of this replica, as a PNG file where `mlflow.log_image` puts it.

    Args:
        image: a NumPy array or a tensor (height × width, with 1, 3 or 4 channels last or first; whole numbers from 0 to
            255, floats from 0 to 1, or booleans), a PIL image, or the path of an image file. Floats beyond 0 to 1 are
            scaled to their own range.
        key: what the image shows: 1 to 100 letters, digits, `_ - . /` and blanks. Images of one key are a gallery with
            their steps; all images of a step are kept.
        step: the training step, a whole number of 64 bits; None is 0.
        caption: a text below the image, of at most 1,000 characters.

    Raises:
        TypeError, ValueError: the value is not an image, or cannot be stored. Nothing is logged then.
        OSError: the image file cannot be read, or the disk is full.
    """
    from submarine_ray.client import media_images

    _log(media.IMAGE, key, step, caption, lambda: media_images.image(image))


def log_figure(figure: Any, key: str, step: int | None = 0, caption: str = "") -> None:
    """Log a figure of matplotlib (as PNG) or plotly (as HTML; the workbench draws it with its controls).

    Args: `figure` is the figure, or matplotlib's axes; the others are those of `log_image`. Raises as `log_image`.
    """
    from submarine_ray.client import media_images

    _log(media.FIGURE, key, step, caption, lambda: media_images.figure(figure))


def log_table(
    data: Any, key: str, step: int | None = 0, caption: str = "", columns: Sequence[str] | None = None
) -> None:
    """Log a table, as JSON in the form of `mlflow.log_table`.

    Args:
        data: a DataFrame of pandas or polars, columns (`{"name": [...]}`), or rows: dictionaries, or lists with
            `columns`.
        key: the table's name, as for `log_image`, as are `step` and `caption`.
        columns: the names of the columns, where the rows are lists.

    Raises as `log_image`.
    """
    from submarine_ray.client import media_tables

    _log(media.TABLE, key, step, caption, lambda: _json(media_tables.table(data, columns)))


def log_text(text: str, key: str, step: int | None = 0, caption: str = "") -> None:
    """Log a text, such as a generated sample. Other arguments and errors are those of `log_image`."""

    def encoded() -> Encoded:
        if not isinstance(text, str):
            raise TypeError(f"a {type(text).__name__} is not a text; log str(...) of it")
        try:
            return Encoded(text.encode(), "txt")
        except UnicodeEncodeError as failure:
            raise ValueError("it is not Unicode text") from failure

    _log(media.TEXT, key, step, caption, encoded)


def log_histogram(values: Any, key: str, step: int | None = 0, bins: int = 64, caption: str = "") -> None:
    """Log a histogram of values, such as the weights or the gradients of a layer.

    Args:
        values: numbers: a list, an array or a tensor of any shape. NaN and infinite values are counted separately.
        key: the name of the values, as for `log_image`, as are `step` and `caption`.
        bins: how many bins, 1 to 512.

    Raises as `log_image`.
    """
    from submarine_ray.client import media_tables

    _log(media.HISTOGRAM, key, step, caption, lambda: _json(media_tables.histogram(values, bins)))


def log_audio(audio: Any, key: str, rate: int | None = None, step: int | None = 0, caption: str = "") -> None:
    """Log audio.

    Args:
        audio: samples as an array or a tensor (one channel, or samples × channels; floats from -1 to 1, or whole
            numbers), or the path of a file: wav, mp3, ogg, flac or m4a.
        key: the name of the audio, as for `log_image`, as are `step` and `caption`.
        rate: samples per second; needed where `audio` is an array.

    Raises as `log_image`.
    """
    from submarine_ray.client import media_audio

    _log(media.AUDIO, key, step, caption, lambda: media_audio.audio(audio, rate))


def log_confusion_matrix(
    actual: Any,
    predicted: Any,
    labels: Sequence[str] | None = None,
    key: str = "confusion_matrix",
    step: int | None = 0,
    caption: str = "",
) -> None:
    """Log a confusion matrix, as a table of actual class, predicted class and count.

    Args:
        actual: the true class of each example: whole numbers from 0, which are indexes of `labels`, or names.
        predicted: the class that the model predicts, in the same form; or, for each example, a score of each class.
        labels: the names of the classes, at most 100.
        key, step, caption: as for `log_image`.

    Raises as `log_image`.
    """
    from submarine_ray.client import media_curves

    _log(media.CONFUSION_MATRIX, key, step, caption, lambda: _json(media_curves.confusion(actual, predicted, labels)))


def log_roc_curve(
    actual: Any,
    scores: Any,
    labels: Sequence[str] | None = None,
    key: str = "roc_curve",
    step: int | None = 0,
    caption: str = "",
) -> None:
    """Log ROC curves (true positive rate over false positive rate), as a table of their points.

    Args:
        actual: the true class of each example: 0 and 1, or indexes or names of `labels`.
        scores: the score of class 1 for each example; or of each class, a column each: a curve for each class.
        labels: the names of the classes, at most 100.
        key, step, caption: as for `log_image`.

    Raises as `log_image`.
    """
    from submarine_ray.client import media_curves

    _log(media.ROC_CURVE, key, step, caption, lambda: _json(media_curves.roc(actual, scores, labels)))


def log_pr_curve(
    actual: Any,
    scores: Any,
    labels: Sequence[str] | None = None,
    key: str = "pr_curve",
    step: int | None = 0,
    caption: str = "",
) -> None:
    """Log precision-recall curves. Arguments and errors are those of `log_roc_curve`."""
    from submarine_ray.client import media_curves

    _log(media.PR_CURVE, key, step, caption, lambda: _json(media_curves.precision_recall(actual, scores, labels)))


def _json(document: Mapping[str, object]) -> Encoded:
    import json

    try:
        return Encoded(json.dumps(document, separators=(",", ":"), allow_nan=False).encode(), "json")
    except UnicodeEncodeError as failure:
        raise ValueError("one of its texts is not Unicode text") from failure


def _log(kind: str, key: str, step: int | None, caption: str, encode: Callable[[], Encoded]) -> None:
    """Queue what `encode` makes. Whatever is wrong is said in one line, with the kind and the key."""
    key = media.checked_key(key, kind)
    number = checked_step(step, key, kind)
    try:
        text = media.checked_caption(caption)
        found = encode()
        if len(found.content) > MAX_BYTES:
            raise WrongMedia(
                f"it has {len(found.content) / _MIB:.1f} MiB; at most {MAX_BYTES // _MIB} are kept: make it smaller, "
                "or log it as an artifact (mlflow.log_artifact)"
            )
    except (TypeError, ValueError) as failure:
        wrong = TypeError if isinstance(failure, TypeError) else WrongMedia
        raise wrong(f"{kind} {key!r}: {' '.join(str(failure).split())}") from failure
    header = MediaHeader(
        kind=kind,
        key=key,
        step=number,
        timestamp=time.time_ns() // 1_000_000,
        name=media.new_name(),
        suffix=found.suffix,
        size=len(found.content),
        caption=text,
        preview=len(found.preview),
        width=found.width,
        height=found.height,
    )
    tracking.put_media(MediaItem(header, found.content, found.preview))
