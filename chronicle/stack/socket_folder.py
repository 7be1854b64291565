"""A short folder for PostgreSQL's socket, for a data folder whose path is longer than a socket's may be.

Only the server's user may enter it, as with the data folder. In a folder that everyone may write to, a name
can be taken by someone else first: what is not a folder of the right owner is refused, never used.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from chronicle.stack.errors import StackError
from chronicle.stack.system_user import SystemUser

# A longer TMPDIR would be no help; the system's own folder is short everywhere.
BASE_BYTES_MAX = 60


def private_socket_folder(data_dir: Path, user: SystemUser | None) -> Path:
    """Return a folder of our own below the system's temporary one, the same for every start on this data."""
    owner = user.uid if user else os.geteuid()
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > BASE_BYTES_MAX:
        base = Path("/tmp")  # noqa: S108  (what is found there is checked below)
    folder = base / f"chronicle-{owner}-{digest}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass  # of an earlier start, or somebody else's: whose it is is looked at below
    else:
        if user:
            os.chown(folder, user.uid, user.gid)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
        raise StackError(f"{folder} is not a private folder of user {owner}, so no socket is put there.")
    return folder
