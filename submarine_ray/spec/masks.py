"""Which parts of a document are secret, how answers show them, and what a mask means that is sent back.

Secret are the values of variables and parameters whose names say so or that are marked, passwords, and what a URL has
to sign in: its user's password, and the tokens in its query. Pure, and without pydantic: the runner masks what it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from submarine_ray.spec.json_types import Json, JsonObject

# What stands in answers for a secret; sent back in a change, it leaves the secret as it is.
HIDDEN = "**********"

# The last word of a name: HF_TOKEN, dbPassword, api-key.
_SECRET_ENDS = frozenset(
    {
        *("PASSWORD", "PASSWD", "PASS", "PWD", "PASSPHRASE", "PASSCODE", "SECRET", "SECRETS", "TOKEN", "KEY", "PAT"),
        *("CREDENTIAL", "CREDENTIALS", "AUTH", "AUTHORIZATION", "COOKIE", "JWT", "SIGNATURE", "SIG"),
    }
)
# Words written as one: PGPASSWORD, HFTOKEN, apikey.
_GLUED = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "ACCESSKEY", "SECRETKEY", "PRIVATEKEY")
# Secret wherever they stand (SECRET_KEY_BASE), unless the name ends with what is only about the secret.
_SECRET_WORDS = frozenset({"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "SECRETS", "CREDENTIAL", "CREDENTIALS"})
_ABOUT = frozenset({"FILE", "PATH", "DIR", "NAME", "ID", "LENGTH", "HOST", "TYPE", "PROVIDER", "ENABLED", "TTL"})
# What of a data model or a tokenizer only sounds so: PRIMARY_KEY, EOS_TOKEN, FORWARD_PASS.
_HARMLESS = frozenset(
    {
        *((word, "KEY") for word in ("PRIMARY", "FOREIGN", "PUBLIC", "SORT", "PARTITION", "CACHE", "OBJECT", "METRIC")),
        *((word, "KEY") for word in ("GROUP", "HASH", "ROW", "JOIN", "UNIQUE", "LABEL", "FEATURE", "TARGET", "INDEX")),
        *((word, "TOKEN") for word in ("PAD", "EOS", "BOS", "UNK", "MASK", "SEP", "CLS", "SPECIAL", "STOP", "IMAGE")),
        *((word, "TOKEN") for word in ("START", "END", "PER", "PADDING")),
        *((word, "PASS") for word in ("FORWARD", "BACKWARD", "SINGLE", "PER", "FIRST", "SECOND", "ONE")),
    }
)
_SHELL_OWN = frozenset({"PWD", "OLDPWD"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_USERINFO = re.compile(r"://([^/?#\s'\"<>\\]*)@")
_QUERY = re.compile(r"([?&;])([A-Za-z0-9_.%\[\]-]{1,80})=([^&;#\s'\"<>]+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}$")
# Their user's name alone may be a token; elsewhere (ssh://git@host) it is a name.
_TOKEN_SCHEMES = ("http", "https", "ftp", "ftps")
# The user's name is the token, and this is not a password.
_NO_PASSWORDS = frozenset({"", "x-oauth-basic"})
# Stands for a value that is elsewhere: {{token}}, $(TOKEN), $TOKEN.
_REFERENCE = re.compile(r"\{\{[^{}]{1,256}\}\}|\$\(\w{1,256}\)|\$\{?\w{1,256}\}?")
_MASK_IN_URL = re.compile(r"[:/=]" + re.escape(HIDDEN) + r"(?=[@:&;#\s'\"<>]|$)")

# Objects whose keys are the names of what they hold.
_NAMED = frozenset({"envVars", "experimentHandlerSpec"})
MARKS = "secretVars"
# In JSON: what may name a secret, or stand in a URL, or be written as an escape.
_SIGNS = (*(f'"{name}"' for name in (*sorted(_NAMED), MARKS, "password", "parameters")), "://", "\\")

# (path, the name of what it is the value of, the value) -> what to put there
Path = tuple[str, ...]
_Change = Callable[[Path, str | None, Json], Json]


class HiddenValue(ValueError):
    """A mask stands where there is no secret that it could mean; `path` says where."""

    def __init__(self, path: tuple[str, ...], why: str) -> None:
        super().__init__(why)
        self.path = ".".join(path)


@lru_cache(4096)
def looks_secret(name: str) -> bool:
    """Whether the name of a variable or parameter says that its value is secret."""
    words = [word.upper() for word in _WORD.findall(name[:256])]
    if not words or name in _SHELL_OWN:
        return False
    while len(words) > 1 and words[-1].isdecimal():  # API_KEY2: the second of several
        words.pop()
    last = words[-1]
    if tuple(words[-2:]) in _HARMLESS:
        return False
    if last in _SECRET_ENDS or last.endswith(_GLUED):
        return True
    return not _SECRET_WORDS.isdisjoint(words) and last not in _ABOUT


def text(value: str) -> str:
    """A text with what its URLs have to sign in masked."""
    if "://" not in value:
        return value
    return _QUERY.sub(_masked_parameter, _USERINFO.sub(_masked_user, value))


def _masked_user(match: re.Match[str]) -> str:
    user, colon, password = match[1].partition(":")
    if colon and password not in _NO_PASSWORDS:
        return match[0] if _REFERENCE.fullmatch(password) else f"://{user}:{HIDDEN}@"
    before = _SCHEME.search(match.string, max(0, match.start() - 22), match.start())
    scheme = before[0].rpartition("+")[2].lower() if before else ""
    if not user or scheme not in _TOKEN_SCHEMES or _REFERENCE.fullmatch(user):
        return match[0]
    return f"://{HIDDEN}{colon}{password}@"


def _masked_parameter(match: re.Match[str]) -> str:
    if not looks_secret(match[2]) or _REFERENCE.fullmatch(match[3]):
        return match[0]
    return f"{match[1]}{match[2]}={HIDDEN}"


def may_hide(text: str) -> bool:
    """Whether a JSON text may have something to mask; False only where a look into the document would find nothing."""
    return any(sign in text for sign in _SIGNS)


def masked(document: JsonObject) -> JsonObject:
    """A document as answers show it; what it is made of is not changed."""
    marks = _marks(document)

    def mask(_path: Path, name: str | None, value: Json) -> Json:
        if name is None or value in (None, "") or not (name in marks or looks_secret(name)):
            return text(value) if isinstance(value, str) else value
        return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else HIDDEN

    return _mapped_object(document, mask)


def refuse_hidden(document: JsonObject) -> None:
    """Raises HiddenValue where a mask stands for a secret."""

    def refuse(path: Path, name: str | None, value: Json) -> Json:
        if _is_hidden(name, value):
            raise HiddenValue(path, f"{HIDDEN} stands for a secret that answers do not show; give the secret itself")
        return value

    _mapped_object(document, refuse)


def restored(document: JsonObject, kept: JsonObject) -> JsonObject:
    """A document with the secrets of `kept` wherever their masks stand. Raises HiddenValue for a mask of no secret."""
    known = _secrets(kept)

    def restore(path: Path, name: str | None, value: Json) -> Json:
        if not _is_hidden(name, value):
            return value
        shown, secret = known.get(path, (None, None))
        if shown == value:
            return secret
        # Moved, as a variable from one role to another; a URL by its other parts.
        others = {
            str(there)
            for where, (mask, there) in known.items()
            if mask == value and (name is None or where[-1] == path[-1] != "value")
        }
        if len(others) != 1:
            raise HiddenValue(path, f"{HIDDEN} stands for a secret, and there is none here to keep; give the secret")
        return others.pop()

    _check_places(document, kept, ())
    found = _mapped_object(document, restore)
    _keep_marks(document, found, _marks(document))
    return found


def _keep_marks(sent: Json, found: Json, marks: set[str]) -> None:
    """What was a secret by its mark stays one: else a change that leaves the mark out would have it shown."""
    if isinstance(sent, dict) and isinstance(found, dict):
        variables, listed = sent.get("envVars"), found.get(MARKS)
        pairs = variables.items() if isinstance(variables, dict) else ()
        masked_names = [name for name, value in pairs if value == HIDDEN]
        if more := [name for name in masked_names if not looks_secret(name) and name not in marks]:
            found[MARKS] = [*(listed if isinstance(listed, list) else ()), *more]
        if sent.get("value") == HIDDEN and not looks_secret(str(sent.get("name"))):
            found["secret"] = True
        for key, value in sent.items():
            if key not in _NAMED:
                _keep_marks(value, found[key], marks)
    elif isinstance(sent, list) and isinstance(found, list):
        for one, there in zip(sent, found, strict=True):
            _keep_marks(one, there, marks)


def _check_places(document: object, kept: object, path: Path) -> None:
    """A password is kept for the host that it was given for, and goes to no other."""
    if not (isinstance(document, Mapping) and isinstance(kept, Mapping)):
        return
    if document.get("password") == HIDDEN and _host(document.get("url")) != _host(kept.get("url")):
        why = f"{HIDDEN} stands for a password of another host; give this one's, or none"
        raise HiddenValue((*path, "password"), why)
    for key, value in document.items():
        _check_places(value, kept.get(key), (*path, str(key)))


def _host(url: object) -> str:
    try:
        return urlsplit(str(url or "")).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _is_hidden(name: str | None, value: Json) -> bool:
    if not isinstance(value, str) or HIDDEN not in value:
        return False
    return (name is not None and value == HIDDEN) or ("://" in value and _MASK_IN_URL.search(value) is not None)


def _secrets(document: JsonObject) -> dict[Path, tuple[str, Json]]:
    """By path: how a secret is shown, and what it is."""
    marks = _marks(document)
    found: dict[Path, tuple[str, Json]] = {}

    def look(path: Path, name: str | None, value: Json) -> Json:
        if name is not None and value not in (None, "") and (name in marks or looks_secret(name)):
            found[path] = (HIDDEN, value)
        elif isinstance(value, str) and (shown := text(value)) != value:
            found[path] = (shown, value)
        return value

    _mapped_object(document, look)
    return found


def _marks(document: object) -> set[str]:
    """The names that a document marks as secret, anywhere in it."""
    if not isinstance(document, Mapping):
        return set()
    inner = document.get("experimentSpec")
    roles = document.get("spec")
    places = [document, document.get("meta"), roles, *(roles.values() if isinstance(roles, Mapping) else ())]
    found: set[str] = set()
    for place in places:
        listed = place.get(MARKS) if isinstance(place, Mapping) else None
        if isinstance(listed, Iterable) and not isinstance(listed, str | Mapping):
            found.update(map(str, listed))
    return found | (_marks(inner) if inner is not None else set())


def _mapped_object(
    node: JsonObject, change: _Change, path: Path = (), key: str = "", name: str | None = None
) -> JsonObject:
    """A copy of a document, with what may be secret as `change` has it: the rest is passed over, which lists of
    thousands of documents need.
    """
    named = key in _NAMED
    return {
        k: v if v is None else _mapped_value(v, change, (path, k), k if named or k == "password" else name)
        for k, v in node.items()
    }


def _mapped_value(value: Json, change: _Change, place: tuple[Path, str], name: str | None) -> Json:
    if isinstance(value, dict):
        return _mapped_object(value, change, (*place[0], place[1]), place[1], name)
    if isinstance(value, list | tuple):
        path = (*place[0], place[1])
        if place[1] == "parameters":
            return [_parameter(one, change, path, str(number)) for number, one in enumerate(value)]
        return [_mapped_value(one, change, (path, str(number)), name) for number, one in enumerate(value)]
    if name is None and not (isinstance(value, str) and "://" in value):
        return value
    return change((*place[0], place[1]), name, value)


def _parameter(node: Json, change: _Change, path: Path, number: str) -> Json:
    """A template's parameter: known by its name, wherever in the list it stands."""
    if not isinstance(node, dict) or "value" not in node:
        return _mapped_value(node, change, (path, number), None)
    name = str(node.get("name"))
    # A name that is secret whatever it is called.
    known_as = "secret" if node.get("secret") else name
    value = change((*path, name, "value"), known_as, node["value"])
    return {**node, "value": value}
