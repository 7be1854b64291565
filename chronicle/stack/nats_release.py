"""Finds `nats-server`, or fetches it: from PATH, the system's packages, or the pinned official release.

Nothing unverified is ever run: a package comes through the package manager's signed index, and the release
must have the SHA-256 written down here. `find_nats_server` is the entry; everything else is one source each.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from chronicle.stack.errors import StackError

# Debian puts servers where an ordinary user's PATH does not look, Homebrew where a bare shell's does not.
EXTRA_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
VERSION = "2.14.5"
RELEASE_URL = "https://github.com/nats-io/nats-server/releases/download/v{version}/{stem}.tar.gz"
# The release's own SHA256SUMS, as nats-io/nats-docker 2.14.x (Linux) and cashapp/hermit-packages
# nats-server.hcl (all four, "sha256-source": that file) publish them; where both name one, they agree.
SHA256_BY_PLATFORM = {
    "linux-amd64": "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355",
    "linux-arm64": "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c",
    "darwin-amd64": "f95c98d6b6ed2b63c5681b46b092c9585c99767d547cf495730c329234625e96",
    "darwin-arm64": "ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50",
}
_GO_NAME_BY_MACHINE = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# The archive is about 7 MB and the program 20; a server that sends more is not the one we mean.
ARCHIVE_BYTES_MAX = 64 * 1024 * 1024
DOWNLOAD_TIMEOUT_S = 60
INSTALL_TIMEOUT_S = 300


def find_nats_server(cache: Path, say: Callable[[str], None] = print) -> Path:
    """Return a `nats-server` program, fetching one into `cache` when the machine has none.

    **Raises** StackError that names every source tried and why it failed.
    """
    if found := on_path() or _cached(cache):
        return found
    failures = []
    for name, source in (("packages", from_packages), ("Homebrew", from_homebrew), ("release", from_release)):
        try:
            say(f"nats-server is not installed; trying {name}")
            return source(cache)
        except StackError as error:
            failures.append(f"{name}: {error}")
    raise StackError(
        "nats-server was not found and could not be fetched "
        f"({'; '.join(failures)}); install it (https://nats.io/download) or give NATS_URL."
    )


def on_path() -> Path | None:
    search = os.pathsep.join([os.environ.get("PATH", ""), *EXTRA_FOLDERS])
    found = shutil.which("nats-server", path=search)
    return Path(found) if found else None


def _cached(cache: Path) -> Path | None:
    program = cache / "nats-server"
    return program if os.access(program, os.X_OK) else None


def from_packages(cache: Path) -> Path:
    """Unpack Debian's package into the cache.

    **Why** not install it: the package would start a second server, on every address, at each boot; and
    downloading one needs no root.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise StackError("this is not a Debian system")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        if not _run(["apt-get", "download", "nats-server"], folder):
            # A fresh container has no package lists, and only root may fetch them.
            _run([*_as_root(), "apt-get", "update"], folder)
            if not _run(["apt-get", "download", "nats-server"], folder):
                raise StackError("apt-get download nats-server failed")
        archive = next(Path(folder).glob("nats-server_*.deb"), None)
        unpacked = Path(folder) / "unpacked"
        if not archive or not _run(["dpkg-deb", "-x", str(archive), str(unpacked)], folder):
            raise StackError("the package could not be unpacked")
        program = next((path for path in unpacked.rglob("nats-server") if path.is_file()), None)
        if not program:
            raise StackError("the package holds no nats-server")
        return _install(program, cache)


def from_homebrew(cache: Path) -> Path:
    if not shutil.which("brew"):
        raise StackError("there is no brew")
    found = on_path() if _run(["brew", "install", "nats-server"], None) else None
    if not found:
        raise StackError("brew install nats-server failed")
    return found


def from_release(cache: Path) -> Path:
    """Download, verify and unpack the pinned release.

    **Raises** StackError when there is none for this machine or its checksum is not the one written down.
    """
    name = platform_name()
    expected = SHA256_BY_PLATFORM.get(name)
    if expected is None:
        raise StackError(f"there is no pinned release for {name}")
    stem = f"nats-server-v{VERSION}-{name}"
    address = RELEASE_URL.format(version=VERSION, stem=stem)
    try:
        # What is read is trusted for its checksum only, wherever it came from.
        with urllib.request.urlopen(address, timeout=DOWNLOAD_TIMEOUT_S) as response:  # noqa: S310
            archive = response.read(ARCHIVE_BYTES_MAX + 1)
    except OSError as error:
        raise StackError(f"{address} could not be read ({error})") from error
    digest = hashlib.sha256(archive).hexdigest()
    if digest != expected:
        raise StackError(f"{address} has the SHA-256 {digest}, not {expected}: refused")
    return _unpack(archive, f"{stem}/nats-server", cache)


def platform_name() -> str:
    """Return this machine's name as Go releases spell it: `linux-amd64`, `darwin-arm64`, …"""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{_GO_NAME_BY_MACHINE.get(machine, machine)}"


def _unpack(archive: bytes, member: str, cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        packed, program = Path(folder) / "archive", Path(folder) / "program"
        packed.write_bytes(archive)
        try:
            with tarfile.open(packed) as tar:
                # One named member is copied out; no path in the archive is ever written to.
                content = tar.extractfile(member)
                if content is None:
                    raise StackError(f"in the archive {member} is not a file")
                with program.open("wb") as target:
                    shutil.copyfileobj(content, target)
        except (KeyError, tarfile.TarError) as error:
            raise StackError(f"the archive holds no {member} ({error})") from error
        return _install(program, cache)


def _install(program: Path, cache: Path) -> Path:
    """Move the program into the cache in one step, so that a half-copied one is never found there."""
    program.chmod(0o755)
    return program.replace(cache / "nats-server")


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def _run(command: list[str], cwd: str | None) -> bool:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
