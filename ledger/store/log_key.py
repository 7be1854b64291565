"""The key that signs tree heads: an Ed25519 private key in a file that only the ledger's own user can read.

The relay makes it on its first start; every other process only reads it. Whoever holds it can sign a second
history, so it is never in the database: a database's superuser alone cannot forge a head.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from django.conf import settings

from ledger.errors import LedgerError
from ledger.store.signed_note import Signer, Verifier


class LogKeyUnusable(LedgerError):
    """The signing key is not there or is no Ed25519 key: start the relay once, or set LOG_SIGNING_KEY."""

    code = "log_key_unusable"
    status = 503


def key_path() -> Path:
    return Path(settings.LOG_SIGNING_KEY or settings.CHRONICLE_DATA / "log_key.pem")


def next_path() -> Path:
    """Where the key that is to take over waits, beside the one that signs."""
    path = key_path()
    return path.with_name(f"{path.name}.next")


def load_signer() -> Signer:
    """Return the log's signer. Raises: LogKeyUnusable."""
    return _read(key_path())


def find_signer(key: Verifier) -> Signer:
    """Return the signer of a verifier key, whether it signs already or waits. Raises: LogKeyUnusable."""
    for path in (key_path(), next_path()):
        if path.exists() and (signer := _read(path)).verifier == key:
            return signer
    raise LogKeyUnusable(f"the log is signed by {key.vkey}, and neither {key_path()} nor {next_path()} is that key")


def load_or_create_signer() -> Signer:
    """Return the log's signer, made now if there is none. Of several processes that make one, one's stays."""
    return _load_or_create(key_path())


def load_or_create_next() -> Signer:
    """Return the signer that is to take over, made now if none waits."""
    return _load_or_create(next_path())


def install(signer: Signer) -> None:
    """Put the key that waits in the place of the one it follows, if it is this signer's. The old key is gone then."""
    path = next_path()
    if path.exists() and _read(path).verifier == signer.verifier:
        with suppress(FileNotFoundError):  # another relay on this machine was first
            path.replace(key_path())


def _load_or_create(path: Path) -> Signer:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # Whole and then linked, so that nobody reads half a key; the temporary file has mode 0600.
        with NamedTemporaryFile(dir=path.parent, prefix=path.name) as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(file.name, path)
    return _read(path)


def _read(path: Path) -> Signer:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise LogKeyUnusable(f"the log's signing key {path} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise LogKeyUnusable(f"the log's signing key {path} is no Ed25519 key")
    return Signer(settings.LOG_ORIGIN, key)
