"""The predefined experiments that come with the platform: one folder a template, loaded when the service starts.

`template.yaml` is a template as users write them, with a version, and `include`: further files for its code. Whatever
else is in the folder (but its README) is the code, and travels as a package.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from submarine_ray.packages.service import PackageService
from submarine_ray.spec import documents
from submarine_ray.spec.templates import TemplateSpec

_OWN_FILES = ("template.yaml", "README.md")


def directory() -> Path:
    """Where the library lies: in the repository, or as installed with the package."""
    package = Path(__file__).parent.parent
    installed = package / "_templates"
    return installed if installed.exists() else package.parent / "templates"


def load(packages: PackageService, root: Path | None = None) -> list[TemplateSpec]:
    """All of the library's templates, their code stored as packages that are never pruned."""
    folders = sorted(file.parent for file in (root or directory()).glob("*/template.yaml"))
    return [_template(folder, packages) for folder in folders]


def _template(folder: Path, packages: PackageService) -> TemplateSpec:
    document = documents.load((folder / "template.yaml").read_bytes())
    included = [folder / name for name in document.pop("include", [])]
    if files := [*_code(folder), *((file.name, file) for file in included)]:
        url = packages.add_files(files)
        packages.pin(url)
        document["experimentSpec"]["code"] = {"syncMode": "package", "url": url}
    return TemplateSpec.model_validate(document)


def _code(folder: Path) -> Iterator[tuple[str, Path]]:
    """(path in the package, file)."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name not in _OWN_FILES and "__pycache__" not in name:
            yield name, file
