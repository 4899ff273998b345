"""Audio as files: samples as 16-bit WAV, files as they are."""

from __future__ import annotations

import io
import wave
from typing import Any

from submarine_ray.client.media import Encoded
from submarine_ray.client.media_arrays import array, as_path
from submarine_ray.spec.spool.media import AUDIO, MAX_BYTES, SUFFIXES

MAX_RATE = 384_000
MAX_CHANNELS = 8
# How files of each kind begin, so that a player is not given something else.
_BEGINNINGS = {
    "wav": (b"RIFF",),
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "ogg": (b"OggS",),
    "flac": (b"fLaC",),
    "m4a": (b"\0\0\0",),
}


def audio(value: Any, rate: int | None) -> Encoded:
    """Audio as a file. Raises TypeError, ValueError, OSError."""
    if (path := as_path(value)) is None:
        return _of_samples(value, rate)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES[AUDIO]:
        raise ValueError(f"{path} is not one of .{', .'.join(SUFFIXES[AUDIO])}")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if not content.startswith(_BEGINNINGS[suffix]):
        raise ValueError(f"{path} does not begin as a {suffix} file does")
    return Encoded(content, suffix)


def _of_samples(value: Any, rate: int | None) -> Encoded:
    import numpy as np

    if rate is None:
        raise ValueError("give the samples per second, such as rate=16000")
    if isinstance(rate, bool) or int(rate) != rate or not 1 <= rate <= MAX_RATE:
        raise ValueError(f"rate={rate!r} is not a whole number of samples per second from 1 to {MAX_RATE}")
    found = array(value)
    if found.ndim == 2 and found.shape[0] <= MAX_CHANNELS < found.shape[1]:
        found = found.T  # as torchaudio has them
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2 or found.shape[1] > MAX_CHANNELS:
        shape = " × ".join(map(str, found.shape))
        raise ValueError(f"its shape is {shape}; samples are a row, or samples × at most {MAX_CHANNELS} channels")
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(found.shape[1])
        file.setsampwidth(2)
        file.setframerate(int(rate))
        file.writeframes(np.ascontiguousarray(_samples(found)).tobytes())
    return Encoded(written.getvalue(), "wav")


def _samples(found: Any) -> Any:
    """Samples of 16 bits, little end first. Floats louder than 1 are made quieter, all alike."""
    import numpy as np

    if found.dtype.kind == "f":
        loudest = float(np.abs(found).max())
        if not np.isfinite(loudest):
            raise ValueError("it has NaN or infinite samples")
        return (found / max(1.0, loudest) * 32767).astype("<i2")
    if found.dtype == np.uint8:
        return ((found.astype(np.int32) - 128) << 8).astype("<i2")
    if found.dtype.kind in "iu" and found.dtype.itemsize == 2:
        return found.astype("<i2")
    if found.dtype == np.int32:
        return (found >> 16).astype("<i2")
    if found.dtype.kind == "i" and np.abs(found).max() <= 32767:
        return found.astype("<i2")
    raise ValueError(f"samples of the type {found.dtype} are not known; give floats from -1 to 1, or int16")
