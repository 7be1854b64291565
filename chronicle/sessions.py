"""Sessions in the database, as Django keeps them, except that a key that Django never made is no session.

A cookie holds whatever its sender likes. A null byte in one is nothing a database can be asked for, and made a
request that is merely not signed in fail with 500.
"""

from __future__ import annotations

import re

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore

# 32 of them are made (SessionBase._get_new_session_key); the column holds 40.
_KEY = re.compile(r"[a-z0-9]{8,40}", re.ASCII)


class SessionStore(DatabaseSessionStore):
    def _validate_session_key(self, key: str | None) -> bool:
        return key is not None and _KEY.fullmatch(key) is not None
