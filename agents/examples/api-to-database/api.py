"""The API that is fetched from: serves the folder `api` on this machine. Its first answer is that it is not ready."""

from __future__ import annotations

import functools
import os
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PORT = urlsplit(os.environ.get("API_URL", "http://127.0.0.1:8099")).port or 80


class Api(SimpleHTTPRequestHandler):
    is_ready = False

    def do_GET(self) -> None:
        if not Api.is_ready:
            Api.is_ready = True
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        super().do_GET()


if __name__ == "__main__":
    handler = functools.partial(Api, directory="api")
    ThreadingHTTPServer(("127.0.0.1", PORT), handler).serve_forever()
