"""What a service without SUBMARINE_TOKEN opens to: the processes of its own user, or the holders of a made token."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

import structlog
from pydantic import SecretStr

from submarine_ray.access import peers
from submarine_ray.core.settings import Settings

log = structlog.get_logger(__name__)


def closed(settings: Settings) -> Settings:
    """The settings with which nobody is let in who is not known: with a token where users cannot be told apart."""
    file = settings.layout.token
    if settings.token is not None or (settings.socket is None and peers.can_be_known()):
        file.unlink(missing_ok=True)  # of an earlier start: clients would send it in vain
        return settings
    why = "what stands in front hides" if settings.socket else "this system does not tell"
    log.warning("access.token_made", file=str(file), why=f"{why} whose process a connection is of")
    return settings.model_copy(update={"token": SecretStr(_kept(file))})


def _kept(file: Path) -> str:
    """The token in `file`, made where there is none; for its user's eyes alone."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=file.parent) as directory:  # 0700, and the file in it 0600
        made = Path(directory, file.name)
        made.touch(0o600)
        made.write_text(f"{secrets.token_hex(32)}\n")
        with suppress(FileExistsError):
            file.hardlink_to(made)  # whole or not at all: another start may read it
    file.chmod(0o600)
    return file.read_text().strip()
