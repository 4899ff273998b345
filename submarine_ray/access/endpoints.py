"""HTTP: /api/v1/session, who is signed in; /api/v1/exposure, what is open."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from submarine_ray.access.callers import administrator
from submarine_ray.access.exposure import Exposure
from submarine_ray.access.sessions import Sessions
from submarine_ray.access.signin import PATH
from submarine_ray.core.clock import iso
from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.spec.sign_ins import SignInLink, SignInSession


def router(sessions: Sessions, exposure: Exposure) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(administrator)])

    @routes.get(
        "/exposure", tags=["operations"], response_model=Envelope[list[str]], summary="List what is open to others"
    )
    def exposed() -> Response:
        return ok(exposure.found())

    @routes.get(
        "/session",
        tags=["session"],
        response_model=Envelope[list[SignInSession]],
        summary="List the browsers that are signed in",
    )
    def list_all() -> Response:
        return ok(sessions.list_all())

    @routes.post(
        "/session/link",
        tags=["session"],
        response_model=Envelope[SignInLink],
        summary="Make a link that signs a browser in, once",
    )
    def link() -> Response:
        secret, expires_ms = sessions.link()
        return ok({"path": f"{PATH}?ticket={secret}", "expiresTime": iso(expires_ms)})

    @routes.delete(
        "/session/{session_id}", tags=["session"], response_model=Envelope[None], summary="Sign a browser out"
    )
    def end(session_id: str) -> Response:
        sessions.end(session_id)
        return ok()

    return routes
