"""Lists a namespace's objects of one kind once, then watches them: a cache that costs only the changes."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

import structlog

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.kuberay.api import ApiError, KubeApi, WatchBroken
from submarine_ray.clusters.drivers.kuberay.objects import Failure, Metadata, Object

log = structlog.get_logger(__name__)

WATCH_SECONDS = 300
# API servers send bookmarks about once a minute: longer silence is a connection that died without a word.
SILENCE_SECONDS = 100.0
SYNC_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
GONE = 410
# How many deleted objects are remembered: the answer to one of our calls may arrive after the event of the deletion.
KNOWN_GONE = 100

Changed = Callable[[Object | None, Object | None], None]
GroupOf = Callable[[Object], str | None]


class Informer:
    """Keeps the objects that `selector` chooses, cut down by `keep`; `changed(before, after)` hears of each change.

    `group_of` names the group that an object is found by, such as the RayCluster of a pod.
    """

    def __init__(
        self, api: KubeApi, path: str, selector: str, keep: Callable[[Object], Object], changed: Changed,
        group_of: GroupOf | None = None,
    ) -> None:  # fmt: skip
        self._api = api
        self._path = path
        self._selector = selector
        self._keep = keep
        self._changed = changed
        self._group_of = group_of or (lambda _: None)
        self._objects: dict[str, Object] = {}
        self._groups: dict[str, dict[str, Object]] = {}
        self._gone: deque[str] = deque(maxlen=KNOWN_GONE)
        self._lock = threading.Lock()
        self._heard = threading.Event()  # the API server has answered, or it is known why not
        self._stopping = threading.Event()
        self._failure: str | None = None
        self._version = ""
        self._thread = threading.Thread(target=self._run, name=f"watch-{path.rsplit('/', 1)[-1]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end with its watch, and do not wait for it."""
        self._stopping.set()

    def objects(self) -> Mapping[str, Object]:
        """All objects by name, as they were a moment ago. Raises Unreachable if nobody knows what they are now."""
        self._need_contact()
        with self._lock:
            return dict(self._objects)

    def get(self, name: str) -> Object | None:
        """One object by its name. Raises Unreachable as `objects` does."""
        self._need_contact()
        with self._lock:
            return self._objects.get(name)

    def group(self, name: str) -> list[Object]:
        """The objects of one group. Raises Unreachable as `objects` does."""
        self._need_contact()
        with self._lock:
            return list(self._groups.get(name, {}).values())

    def put(self, found: Object) -> None:
        """Store the answer of a call of our own: the watch may be behind it or ahead of it."""
        self._set(self._keep(found))

    def _need_contact(self) -> None:
        if not self._heard.wait(SYNC_SECONDS) or self._failure is not None:
            raise Unreachable(self._failure or "the API server has not answered yet")

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                if not self._version:
                    self._list()
                self._watch()
                pause = FIRST_PAUSE
            except (ApiError, Unreachable) as failure:
                if isinstance(failure, ApiError):
                    self._version = ""  # 410, or a right that was taken: begin anew
                if not isinstance(failure, WatchBroken) and getattr(failure, "status", None) != GONE:
                    self._fail(_sentence(failure, self._path))
                if time.monotonic() - begun > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                self._stopping.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 (spreads load, guards nothing)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:
                log.exception("watch.failed", path=self._path)
                self._version = ""
                self._stopping.wait(LONGEST_PAUSE)

    def _list(self) -> None:
        items, version = self._api.list(self._path, self._selector)
        with self._lock:
            known = dict(self._objects)
        read = [self._kept(item) or known.get(item["metadata"]["name"]) for item in items]
        found = {one["metadata"]["name"]: one for one in read if one}
        with self._lock:
            before, self._objects, self._groups = self._objects, found, {}
            for name, one in found.items():
                self._in_group(one)[name] = one
        self._well()
        self._heard.set()
        for name in before.keys() | found.keys():
            old, new = before.get(name), found.get(name)
            if _version(old) != _version(new):
                self._changed(old, new)
        self._version = version

    def _watch(self) -> None:
        """Follow the watch until it ends. Raises ApiError with 410 if the version to go on from has expired."""
        events = self._api.watch(self._path, self._selector, self._version, WATCH_SECONDS, SILENCE_SECONDS)
        self._well()
        for event in events:
            found = event["object"]
            if event["type"] == "ERROR":
                refused = cast(Failure, found)
                raise ApiError(refused.get("code", 500), str(refused.get("reason")), str(refused.get("message")))
            self._version = found["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._changed(self._drop(found["metadata"]), None)
            elif event["type"] != "BOOKMARK" and (kept := self._kept(found)):
                self._set(kept)
            if self._stopping.is_set():
                break

    def _set(self, new: Object) -> None:
        name = new["metadata"]["name"]
        with self._lock:
            old = self._objects.get(name)
            if new["metadata"]["uid"] in self._gone or (old is not None and _is_older(new, old)):
                return
            if old is not None and self._group_of(old) != self._group_of(new):
                self._leave_group(old)
            self._objects[name] = self._in_group(new)[name] = new
        if _version(old) != _version(new):
            self._changed(old, new)

    def _drop(self, gone: Metadata) -> Object | None:
        """Forget the object with this metadata, and return what was known of it."""
        with self._lock:
            self._gone.append(gone["uid"])
            old = self._objects.pop(gone["name"], None)
            if old is not None:
                self._leave_group(old)
            return old

    def _kept(self, found: Object) -> Object | None:
        """The part of an object that is kept; None if the object is not understood, and what was known of it stays."""
        try:
            return self._keep(found)
        except Exception:
            # Of this object alone: the watch goes on for all others.
            log.exception("watch.not_understood", path=self._path, name=found["metadata"].get("name"))
            return None

    def _in_group(self, found: Object) -> dict[str, Object]:
        """The group of an object, by the objects' names; the caller has the lock."""
        return self._groups.setdefault(self._group_of(found) or "", {})

    def _leave_group(self, found: Object) -> None:
        """Take an object from its group, and the group away if it was the last; the caller has the lock."""
        group = self._in_group(found)
        group.pop(found["metadata"]["name"], None)
        if not group:
            del self._groups[self._group_of(found) or ""]

    def _well(self) -> None:
        if self._failure is not None:
            log.info("watch.restored", path=self._path)
            self._failure = None

    def _fail(self, why: str) -> None:
        if self._failure is None:
            log.warning("watch.lost", path=self._path, why=why)
        self._failure = why
        self._heard.set()


def _version(found: Object | None) -> str | None:
    return found["metadata"].get("resourceVersion") if found else None


def _is_older(new: Object, old: Object) -> bool:
    """Whether `new` is an earlier state of the same object: versions are numbers (promised since Kubernetes 1.35)."""
    if new["metadata"].get("uid") != old["metadata"].get("uid"):
        return False
    try:
        return int(new["metadata"]["resourceVersion"]) < int(old["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return False


def _sentence(failure: Exception, path: str) -> str:
    plural = path.rsplit("/", 1)[-1]
    if isinstance(failure, ApiError) and failure.status == 404:
        return (
            f"Kubernetes knows no {plural}: KubeRay's CRDs are not installed there (helm install kuberay-operator), "
            "unless its API server has just started"
        )
    if isinstance(failure, ApiError) and failure.status == 403:
        return f"the service may not list and watch {plural} there: {failure}"
    return str(failure)
