"""The key of what is sealed."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from submarine_ray.core.errors import SecretLost
from submarine_ray.core.secrets import SecretBox


def test_processes_that_start_together_make_one_key(tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / str(number) / "secret.key"
        with ThreadPoolExecutor(8) as pool:
            boxes = list(pool.map(lambda _, file=file: SecretBox(file), range(8)))
        assert {box.open(boxes[0].seal("x")) for box in boxes} == {"x"}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and list(file.parent.iterdir()) == [file]


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    sealed = SecretBox(tmp_path / "one.key").seal("x")
    with pytest.raises(SecretLost, match="is not the key that it was sealed with"):
        SecretBox(tmp_path / "other.key").open(sealed)
