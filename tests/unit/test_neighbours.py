"""A train function's own modules travel with it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from submarine_ray.runner.errors import InvalidLaunch
from submarine_ray.runner.function import TrainFunction

# What a user has beside the script; `never` is asked for by nobody.
FILES = {
    "utils.py": "import helpers.deep as deep\nfrom settings import SCALE\nimport math, lock\ndef scale(): return SCALE * deep.two()\n",
    "settings.py": "SCALE = 3\n",
    "lock.py": "import threading\nLOCK = threading.Lock()  # which no pickle takes\n",
    "helpers/__init__.py": "from . import inner\n",
    "helpers/inner.py": "",
    "helpers/deep.py": "import json, pathlib\ndef two(): return json.loads(pathlib.Path(__file__).with_name('two.json').read_text())\n",
    "helpers/two.json": "2",
    "helpers/.env": "SECRET=1",
    "late.py": "from folder import part\nVALUE = part.VALUE\n",
    "folder/part.py": "VALUE = 10\n",
    "never.py": "",
    "data/big.csv": "x",
    "wrong.py": "this is no python",
    "train.py": """
import sys, pathlib
import utils
from utils import scale
from submarine_ray.client.package import pack_function
data = wrong = 1
def train():
    import late
    return scale() + late.VALUE + data + wrong + utils.lock.LOCK.locked()
told = []
pathlib.Path(sys.argv[1]).write_bytes(pack_function(train, None, told.append))
print(told)
""",
}
RUN = """
import sys
from pathlib import Path
from submarine_ray.runner.function import TrainFunction
function = TrainFunction.read(Path(sys.argv[1]))
print(function.load()(), sorted(function.files))
"""


def project(root: Path) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def python(*words: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_function_takes_along_what_it_imports_and_no_more(tmp_path: Path) -> None:
    here, there = project(tmp_path / "here"), tmp_path / "there"
    told = python("train.py", str(tmp_path / "package.zip"), cwd=here)
    assert "leaves out helpers/.env (secrets by default)" in told
    zipfile.ZipFile(tmp_path / "package.zip").extractall(there)
    (tmp_path / "run.py").write_text(RUN)
    value, _, names = python(str(tmp_path / "run.py"), str(there), cwd=tmp_path).partition(" ")
    assert int(value) == 3 * 2 + 10 + 1 + 1
    assert json.loads(names.replace("'", '"')) == [f"modules/{name}" for name in (
        "folder/part.py", "helpers/__init__.py", "helpers/deep.py", "helpers/inner.py", "helpers/two.json", "late.py",
        "lock.py", "settings.py", "utils.py", "wrong.py",
    )]  # fmt: skip


def test_a_module_that_the_cluster_has_not_is_named(tmp_path: Path) -> None:
    here, there = project(tmp_path / "here"), tmp_path / "there"
    python("train.py", str(tmp_path / "package.zip"), cwd=here)
    zipfile.ZipFile(tmp_path / "package.zip").extractall(there)
    (there / "modules" / "settings.py").unlink()
    with pytest.raises(
        InvalidLaunch, match=r"needs the module 'settings', which the cluster has not; give the package"
    ):
        TrainFunction.read(there)
    (there / "train_function.pkl").write_bytes(b"no pickle")
    with pytest.raises(InvalidLaunch, match="it cannot be loaded: UnpicklingError"):
        TrainFunction.read(there)


def test_a_functions_working_dir_is_where_it_runs(tmp_path: Path) -> None:
    here, there = project(tmp_path / "here"), tmp_path / "there"
    script = """
import sys, pathlib
from submarine_ray.client.package import pack_function
def train():
    import never
    return pathlib.Path("data/big.csv").read_text() + never.__name__
pathlib.Path(sys.argv[1]).write_bytes(pack_function(train, pathlib.Path(".")))
"""
    (here / "script.py").write_text(script)
    python("script.py", str(tmp_path / "package.zip"), cwd=here)
    content = (tmp_path / "package.zip").read_bytes()
    assert "modules/never.py" in zipfile.ZipFile(io.BytesIO(content)).namelist()
    zipfile.ZipFile(io.BytesIO(content)).extractall(there)
    (tmp_path / "run.py").write_text(RUN)
    assert python(str(tmp_path / "run.py"), str(there), cwd=tmp_path).startswith("xnever ")


def test_a_name_that_is_a_folders_by_chance_sends_no_folder(tmp_path: Path) -> None:
    for name in ("data/big.csv", "models/__init__.py", "models/weights.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x" * 1000)
    (tmp_path / "models/__init__.py").write_text("")
    script = """
import json, sys
from submarine_ray.client import package
package.MAX_BYTES = 900
def train():
    import torchvision
    return torchvision.models, open("data.csv")
told = []
content = package.pack_function(train, None, told.append)
import io, zipfile
print(json.dumps([zipfile.ZipFile(io.BytesIO(content)).namelist(), told]))
"""
    (tmp_path / "script.py").write_text(script)
    names, (told,) = json.loads(python("script.py", cwd=tmp_path))
    assert names == ["train_function.pkl"]
    assert told.startswith("leaves out models/ (nothing has imported it here, and ") and "would send 1 KiB" in told
