"""Django's own password hash with one round instead of a million, for users that exist for one test.

The rounds are part of the hash, so that a server in another process, with the real settings, accepts it too.
"""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class OneRoundHasher(PBKDF2PasswordHasher):
    iterations = 1
