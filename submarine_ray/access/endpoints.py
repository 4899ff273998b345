"""HTTP: /api/v1/session, who is signed in; /api/v1/exposure, what is open."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from submarine_ray.access.callers import administrator
from submarine_ray.access.exposure import Exposure
from submarine_ray.access.sessions import Sessions
from submarine_ray.access.signin import PATH
from submarine_ray.core.clock import iso
from submarine_ray.core.documents import ReplyRoute
from submarine_ray.core.envelope import Reply, done, ok
from submarine_ray.spec.sign_ins import SignInLink, SignInSession


def router(sessions: Sessions, exposure: Exposure) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(administrator)], route_class=ReplyRoute)

    @routes.get("/exposure", tags=["operations"], summary="List what is open to others")
    def exposed() -> Reply[list[str]]:
        return ok(exposure.found())

    @routes.get(
        "/session",
        tags=["session"],
        summary="List the browsers that are signed in",
    )
    def list_all() -> Reply[list[SignInSession]]:
        return ok(sessions.list_all())

    @routes.post(
        "/session/link",
        tags=["session"],
        summary="Make a link that signs a browser in, once",
    )
    def link() -> Reply[SignInLink]:
        secret, expires_ms = sessions.link()
        return ok(SignInLink(path=f"{PATH}?ticket={secret}", expires_time=iso(expires_ms)))

    @routes.delete("/session/{session_id}", tags=["session"], summary="Sign a browser out")
    def end(session_id: str) -> Reply[None]:
        sessions.end(session_id)
        return done()

    return routes
