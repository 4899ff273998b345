"""A script that is written or uploaded in the form: a package of one file, named as the command names it."""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile
from dataclasses import dataclass

from submarine_ray.spec.zips import zipped

MAX_BYTES = 500_000
# In the browser: hand over what was chosen, and let the same file be chosen again. What is no text stays there.
READ_FILE = f"""async (event) => {{
    const file = event.target.files[0];
    if (!file) return;
    let text = null;
    if (file.size <= {MAX_BYTES}) {{
        try {{ text = new TextDecoder("utf-8", {{fatal: true}}).decode(await file.arrayBuffer()); }} catch {{}}
        if (text?.includes("\\0")) text = null;
    }}
    emit({{name: file.name, size: file.size, text}});
    event.target.value = "";
}}"""
# What runs a script, by the ending of its name.
_PROGRAMS = {".py": "python", ".sh": "sh", ".R": "Rscript", ".jl": "julia", ".pl": "perl"}
ENDINGS = tuple(_PROGRAMS)

EXAMPLE = """\
import random
import time

import submarine_ray as submarine

# A stand-in for training: it takes ten seconds, and its curve is on the Metrics tab meanwhile.
loss = 1.0
for step in range(20):
    loss *= 0.8 + 0.1 * random.random()
    submarine.log_metric("loss", loss, step)
    print(f"step {step}: loss {loss:.3f}", flush=True)
    time.sleep(0.5)
"""


@dataclass(frozen=True)
class Packed:
    """The package of a script, and the URL that it has once it is uploaded."""

    url: str
    content: bytes


@dataclass(frozen=True)
class Script:
    """A file and the package that holds it alone."""

    name: str
    text: str
    packed: Packed


def pack(name: str, text: str) -> Packed:
    """A script that says what runs it may be run by its name."""
    content = zipped([(name, text.encode())], 0o755 if text.startswith("#!") else 0)
    return Packed(f"package://{hashlib.sha256(content).hexdigest()}", content)


def names(content: bytes) -> list[str]:
    """The files of a package."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [one.filename for one in archive.infolist() if not one.is_dir()]


def unpack(content: bytes, name: str) -> str | None:
    """The script that a package holds under a name; None if it holds more, or no text, or too much of it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = [one for one in archive.infolist() if not one.is_dir()]
        if [one.filename for one in files] != [name] or files[0].file_size > MAX_BYTES:
            return None
        try:
            return archive.read(files[0]).decode()
        except UnicodeDecodeError:
            return None


def too_large(size: int) -> str:
    """What is said of a script of so many bytes."""
    return (
        f"The script has {size:,} bytes, and the form takes {MAX_BYTES:,} at most. "
        "Send its directory with the command submarine run instead."
    )


def refused(name: str, size: int, text: str | None) -> str | None:
    """What is wrong with a file that was chosen, in words."""
    if not name.endswith(ENDINGS):
        return (
            f"{name} is not a script: choose a file that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}. "
            "Send several files with the command submarine run."
        )
    if size > MAX_BYTES:
        return f"{name} is too large. {too_large(size)}"
    return None if text is not None else f"{name} is not text in UTF-8."


def command_of(name: str) -> str:
    """The command that runs a script."""
    program = next(program for ending, program in _PROGRAMS.items() if name.endswith(ending))
    return f"{program} {shlex.quote(name)}"


def name_in(command: str | None) -> str | None:
    """The file that a command runs, if it names one that a script can be sent along as."""
    try:
        words = shlex.split(command or "")
    except ValueError:
        return None
    named = (word.removeprefix("./") for word in words if word.endswith(ENDINGS))
    return next((name for name in named if not name.startswith(("/", "-")) and ".." not in name.split("/")), None)
