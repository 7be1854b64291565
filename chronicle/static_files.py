"""Static files at addresses that change with them: /static/<version>/…, which a browser may keep for ever.

After an upgrade a page so gets the scripts that belong to it, all of them, and never one that a browser kept from the
version before. The version is one for all files, and so scripts find each other, and style sheets their fonts, by the
relative addresses that they name: nothing is rewritten, and a start needs no collectstatic.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware

VERSION_DIGITS = 16
_VERSION = re.compile(rf"[0-9a-f]{{{VERSION_DIGITS}}}/")


@cache
def version() -> str:
    """Return what changes when any file does: 0.05 s for the 14 MB there are, once a process."""
    digest = sha256()
    files = {name: storage.path(name) for finder in finders.get_finders() for name, storage in finder.list(None)}
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0".encode())
        digest.update(sha256(Path(path).read_bytes()).digest())
    return digest.hexdigest()[:VERSION_DIGITS]


class VersionedFiles(StaticFilesStorage):
    """Where pages find their files. While somebody works on them (DEBUG) they change under a running process."""

    def url(self, name: str | None) -> str:
        return super().url(name if settings.DEBUG else f"{version()}/{name}")


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise, which would otherwise take a thread for the whole of every request, a file or not."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if not request.path_info.startswith(self.static_prefix):
            return self.get_response(request)
        if self._is_async:
            return self._file_async(request)
        found = self._find(request)
        return self.get_response(request) if found is None else found

    def add_file_to_dictionary(self, url: str, path: str, stat_cache: Any = None) -> None:
        """Add a file twice: under the version, to be kept, and without one, to be asked for each time."""
        super().add_file_to_dictionary(url, path, stat_cache)
        super().add_file_to_dictionary(self._versioned(url), path, stat_cache)

    def immutable_file_test(self, path: str, url: str) -> bool:
        return not self.autorefresh and url.startswith(self._versioned(self.static_prefix))

    def _versioned(self, url: str) -> str:
        return f"{self.static_prefix}{version()}/{url.removeprefix(self.static_prefix)}"

    async def _file_async(self, request: HttpRequest) -> HttpResponseBase:
        found = await sync_to_async(self._find)(request)
        return await self.get_response(request) if found is None else found

    def _find(self, request: HttpRequest) -> HttpResponseBase | None:
        path = request.path_info
        static_file = self.find_file(path) if self.autorefresh else self.files.get(path)
        if static_file is None and (other := _VERSION.match(path.removeprefix(self.static_prefix))):
            # While processes of two versions serve, a page of one may ask the other: for what there is, not to be kept.
            static_file = self.files.get(path.replace(other[0], "", 1))
        return None if static_file is None else self.serve(static_file, request)
