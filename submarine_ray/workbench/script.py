"""A script that is written or uploaded in the form: a package of one file, named as the command names it."""

from __future__ import annotations

import hashlib
import io
import shlex
import zipfile
from dataclasses import dataclass

from submarine_ray.spec.zips import zipped

MAX_BYTES = 500_000
# In the browser: hand over what was chosen, and let the same file be chosen again.
READ_FILE = f"""async (event) => {{
    const file = event.target.files[0];
    if (!file) return;
    emit({{name: file.name, text: file.size > {MAX_BYTES} ? null : await file.text()}});
    event.target.value = "";
}}"""
_ENDINGS = (".py", ".sh", ".R", ".jl", ".pl")

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


def pack(name: str, text: str) -> Packed:
    content = zipped([(name, text.encode())])
    return Packed(f"package://{hashlib.sha256(content).hexdigest()}", content)


def unpack(content: bytes) -> str | None:
    """The script that a package holds; None if it holds more, or no text, or too much of it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = [one for one in archive.infolist() if not one.is_dir()]
        if len(files) != 1 or files[0].file_size > MAX_BYTES:
            return None
        try:
            return archive.read(files[0]).decode()
        except UnicodeDecodeError:
            return None


def name_in(command: str | None) -> str | None:
    """The file that a command runs, if it names one that a script can be sent along as."""
    try:
        words = shlex.split(command or "")
    except ValueError:
        return None
    named = (word.removeprefix("./") for word in words if word.endswith(_ENDINGS))
    return next((name for name in named if not name.startswith(("/", "-")) and ".." not in name.split("/")), None)
