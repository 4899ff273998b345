"""Secrets at rest: they are encrypted in the database with a key that is not in it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from submarine_ray.core.errors import SecretLost


class SecretBox:
    """Encrypts with the key in a file (mode 0600) that is made on first use."""

    def __init__(self, key_file: Path, key: str | None = None) -> None:
        """`key`, where several services share one, or the file's. Raises ValueError for a key of the wrong form."""
        self._key = key.encode() if key else _read_or_make(key_file)
        self._fernet = Fernet(self._key)
        self._source = "SUBMARINE_SECRET_KEY" if key else key_file.name

    def derived(self, purpose: str) -> bytes:
        """A key for another purpose than sealing, made of this one: it tells nothing of this one."""
        return hmac.digest(self._key.strip(), purpose.encode(), hashlib.sha256)

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret. Raises SecretLost if it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as failure:
            raise SecretLost(
                f"What is stored of it cannot be read: {self._source} is not the key that it was sealed with. Give the "
                "service that key again, or delete it and create it anew."
            ) from failure


def _read_or_make(key_file: Path) -> bytes:
    key_file.parent.mkdir(parents=True, exist_ok=True)
    if not key_file.exists():
        # Whole or not at all: a process that starts beside this one must not read half a key.
        descriptor, made = tempfile.mkstemp(dir=key_file.parent, prefix=".key-")  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
        with contextlib.suppress(FileExistsError):
            os.link(made, key_file)
        Path(made).unlink()
    return key_file.read_bytes()
