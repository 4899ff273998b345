"""A model behind uvicorn, and nothing else: what an endpoint is compared with. `uvicorn benchmarks.gpu_bare:app`"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import orjson

from serve_apps.model import load

model = load(os.environ["BENCH_MODEL"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    rows = np.asarray(orjson.loads(body)["inputs"], dtype=np.float32)
    content = orjson.dumps({"predictions": model.predict(rows)}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
