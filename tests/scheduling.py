"""How `make test` shares the tests out to its processes: by file, and all of the browser's tests to one of them.

A browser and the system behind it keep a processor busy, and most other tests wait for much of their time. So one
process has the browser, and more than there are processors do the rest.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

BROWSER = "tests/browser/"


class FilesAndBrowser(LoadFileScheduling):
    """One scope for each file, and one for the browser's."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)
