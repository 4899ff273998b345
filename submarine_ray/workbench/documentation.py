"""The documentation at /help, as `make docs` built it; where nobody has, a page that says how."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response

from submarine_ray.core.http import Scope
from submarine_ray.core.pages import plain

PATH = "/help"
DIRECTORY = Path(__file__).parents[1] / "help"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Pages of text: they load from here alone, run the scripts that they were built with, and send nothing anywhere.
_POLICY = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_NOT_BUILT = (
    "<p>Run <code>make docs</code> in the source directory of this service, then reload this page. "
    "The container image and the wheels that it is built from have the documentation in them.</p>"
    '<p><a href="/docs">REST API</a> · <a href="/">Workbench</a></p>'
)
_NOT_HERE = '<p>The documentation has no page at this address.</p><p><a href="/help/">Contents</a></p>'


def attach(app: FastAPI, directory: Path = DIRECTORY) -> None:
    """Serve the documentation in `directory` from `app`, below `PATH`."""

    @app.get(PATH, include_in_schema=False)
    def start() -> Response:
        return RedirectResponse(f"{PATH}/")

    app.mount(PATH, _Site(directory), name="help")


class _Site(StaticFiles):
    """Looks for the files at each request: the documentation may be built while the service runs."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=True, check_dir=False)
        self._start = directory / "index.html"

    async def check_config(self) -> None:
        """Its directory need not be there."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if not self._start.is_file():
            return _page("Documentation is not built", _NOT_BUILT)
        try:
            response = await super().get_response(path, scope)
        except HTTPException as failure:
            if failure.status_code != HTTPStatus.NOT_FOUND:
                raise
            return _page("Page not found", _NOT_HERE)
        response.headers.update(_HEADERS)
        if isinstance(response, FileResponse) and response.media_type == "text/html":
            page = Path(response.path)
            response.headers["content-security-policy"] = _policy(page, page.stat().st_mtime_ns)
        return response


@lru_cache(maxsize=256)
def _policy(page: Path, _changed_ns: int) -> str:
    """What a page may do: of scripts in it, it runs those that it was built with."""
    _, *after = page.read_text(encoding="utf-8").split("<script>")
    scripts = [one.partition("</script>")[0] for one in after]
    hashes = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts}
    return _POLICY.format(hashes=" ".join(sorted(hashes)))


def _page(title: str, text: str) -> Response:
    page = plain(title, text, HTTPStatus.NOT_FOUND)
    page.headers.update(_HEADERS)
    return page
