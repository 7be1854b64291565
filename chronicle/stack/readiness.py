"""Asks the web process whether it is ready to be used: `/readyz`, or `/healthz` where there is no such page."""

from __future__ import annotations

import http.client

from chronicle.stack.ports import LOOPBACK

ANSWER_TIMEOUT_S = 5
PATHS = ("/readyz", "/healthz")
REASON_CHARACTERS_MAX = 300


class Readiness:
    """`str()` says what the last answer was, for whoever waits."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._last_answer = "no answer yet"

    def ask(self) -> bool:
        for path in PATHS:
            status, body = self._get(path)
            if status == http.HTTPStatus.OK:
                return True
            self._last_answer = f"{path} answers {status} {body}".rstrip()
            if status != http.HTTPStatus.NOT_FOUND:
                return False
        return False

    def __str__(self) -> str:
        return f"the web process ({self._last_answer})"

    def _get(self, path: str) -> tuple[int, str]:
        # Not urllib, which would ask a proxy of the environment for our own loopback address.
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            text = response.read(REASON_CHARACTERS_MAX).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, type(error).__name__
        finally:
            connection.close()
        return response.status, " ".join(text.split())
