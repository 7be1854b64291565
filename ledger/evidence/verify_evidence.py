#!/usr/bin/env python3
"""Checks a Chronicle Ledger evidence bundle, or a balance with its proof, with nothing but this file.

    python verify_evidence.py BUNDLE.zip --key KEY      (KEY: the log's verifier key, or a file that holds it)
    python verify_evidence.py BALANCE.json --key KEY

Needs Python 3.11 and the package `cryptography`; no network, no database, no Django. Take the key from
where you got it when you first met the log, not from the bundle: without --key the bundle's own key is used,
and then a bundle that was forged as a whole passes. With --rules the rules of the ledger, which lie in the
bundle as Python, decide every command again; leave it out if you do not want to run them.

Formats: RFC 8785 (canonical JSON), RFC 9162 section 2 (Merkle tree), c2sp.org/signed-note,
c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof. Exit code: 0 everything holds, 1 something does not, 2 usage.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST, CHECKPOINT, KEY = "MANIFEST", "checkpoint", "key"
NO_HASH = bytes(32)
# What reading altered evidence raises, beyond Broken.
UNREADABLE = (EOFError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OSError, zipfile.BadZipFile)


class Broken(Exception):
    """Something in the evidence does not hold; the sentence says what."""


def require(holds: bool, sentence: str) -> None:
    if not holds:
        raise Broken(sentence)


def decode(text: str) -> bytes:
    decoded = base64.b64decode(text, validate=True)
    require(base64.b64encode(decoded).decode() == text, "a base64 text is not spelled canonically")
    return decoded


class LogKey:
    """A verifier key: name+id+base64(1, public key)."""

    def __init__(self, vkey: str) -> None:
        self.vkey = vkey.strip()
        self.name, key_id, key = self.vkey.split("+", 2)
        material = decode(key)
        require(material[:1] == b"\x01" and len(material) == 33, "the key is no Ed25519 key")
        self.id = sha256(self.name.encode() + b"\n" + material).digest()[:4]
        require(self.id.hex() == key_id, "the key's id is not that of the key")
        self._key = Ed25519PublicKey.from_public_bytes(material[1:])

    def signed(self, note: str) -> bool:
        """Return whether this key signed a note; a signature in its name that does not verify spoils the note."""
        text, _, signatures = note.rpartition("\n\n")
        require(signatures.endswith("\n"), "a signed note ends with signature lines")
        for line in signatures[:-1].split("\n"):
            require(line.count(" ") == 2 and line[:2] == "— ", "a signature line is: dash, name, base64")
            _, name, signature = line.split(" ")
            material = decode(signature)
            if name == self.name and material[:4] == self.id:
                try:
                    self._key.verify(material[4:], f"{text}\n".encode())
                except InvalidSignature:
                    raise Broken(f"the signature of {name} does not verify") from None
                return True
        return False


class KeyRing:
    """A key that is believed, and those of the log that it followed or that followed it, as both of two signed."""

    def __init__(self, vkey: str, successions: Iterable[str] = ()) -> None:
        first = LogKey(vkey)
        self.name, self._keys, left = first.name, {first.vkey: first}, list(successions)
        # From the key that is believed along the notes, in both directions.
        while linked := [note for note in left if set(note.split("\n")[1:3]) & set(self._keys)]:
            for note in linked:
                left.remove(note)
                title, *vkeys, end = note.split("\n")[:4]
                pair = [LogKey(text) for text in vkeys]
                is_of_log = title == f"{self.name} key succession" and {key.name for key in pair} == {self.name}
                require(is_of_log and not end, "a change of keys is of another log")
                require(all(key.signed(note) for key in pair), "a change of keys is not signed by both keys")
                self._keys.update((key.vkey, key) for key in pair)
        require(not left, "a change of keys leads to no key that is believed")

    def open(self, note: str) -> str:
        """Return the text of a note that one of the keys signed."""
        require(any(key.signed(note) for key in self._keys.values()), f"not signed by {self.name}")
        return note.rpartition("\n\n")[0] + "\n"


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162 section 2.1.3.2)."""
    require(0 <= index < size, "the index is beyond the tree")
    node, last, root = index, size - 1, leaf
    for sibling in path:
        require(last > 0, "the path is too long")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    require(last == 0, "the path is too short")
    return root


class Head:
    """A checkpoint: origin, size, root; checked to be signed."""

    def __init__(self, note: str, key: KeyRing) -> None:
        self.note = note
        origin, size, root = key.open(note).rstrip("\n").split("\n")[:3]
        require(origin == key.name, f"the checkpoint is of the log {origin}")
        self.size, self.root = int(size), decode(root)


def check_proof(entry: bytes, proof: str, head: Head) -> int:
    """Check a tlog-proof of an entry and return the entry's position."""
    lines, _, checkpoint = proof.partition("\n\n")
    first, index, *path = lines.split("\n")
    require(first == "c2sp.org/tlog-proof@v1" and index.startswith("index "), "a file is no tlog-proof")
    require(checkpoint == head.note, "a proof is for another tree head")
    number = int(index[6:])
    require(index == f"index {number}", "an index is not spelled canonically")
    leaf = sha256(b"\x00" + entry).digest()
    root = root_of(leaf, number, head.size, [decode(line) for line in path])
    require(root == head.root, "a proof leads to another root")
    return number + 1


def read_event(entry: bytes) -> dict[str, Any]:
    """Return the event of an entry, which must be in canonical form."""
    event = json.loads(entry)
    canonical = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    require(canonical == entry, "an entry is not canonical JSON")
    return {**event, "hash": sha256(b"\x00" + entry).digest()}


def check_chains(events: list[dict[str, Any]]) -> int:
    """Check every link between two events of one aggregate that are both here; return how many links."""
    links, chains = 0, defaultdict[str, dict[int, dict[str, Any]]](dict)
    for event in events:
        chains[event["aggregate_id"]][event["version"]] = event
    for account_id, chain in chains.items():
        for version, event in chain.items():
            previous = chain.get(version - 1)
            if version > 1 and previous is None:
                continue
            expected = previous["hash"] if previous else NO_HASH
            follows = event["previous_hash"] == expected.hex()
            require(follows, f"{account_id} version {version} does not follow the one before")
            require(
                not previous or event["recorded_at"] >= previous["recorded_at"], f"{account_id}: time runs backwards"
            )
            links += 1
    return links


def check_rules(events: list[dict[str, Any]], bundle: Path) -> tuple[int, int]:
    """Replay and decide again with the bundle's own rules; return how many states and how many commands."""
    sys.path.insert(0, str(bundle))
    from ledger.domain.trial import Illegal, try_events

    try:
        return try_events(events)
    except Illegal as illegal:
        raise Broken(str(illegal)) from None


def write_archive(target: Any, files: dict[str, bytes]) -> None:
    """Write files as a zip in the one way that bundles are written: stored, without a date."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)


def check_bundle(path: Path, vkey: str | None, rules: bool) -> None:
    with zipfile.ZipFile(path) as bundle:
        names = bundle.namelist()
        require(len(names) == len(set(names)), "a file is in the bundle twice")
        require(not any(info.compress_type for info in bundle.infolist()), "a file is not stored as it is")
        files = {name: bundle.read(name) for name in names}
    again = io.BytesIO()
    write_archive(again, files)
    require(again.getvalue() == path.read_bytes(), "the archive is not, byte for byte, what these files make")
    successions = [files[name].decode() for name in names if name.startswith("succession/")]
    key = KeyRing(vkey or files[KEY].decode(), successions)
    title, *lines = key.open(files[MANIFEST].decode()).rstrip("\n").split("\n")
    require(title == f"{key.name} evidence", "the manifest is of another log")
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines if line[:1] != "#")}
    require(set(listed) == set(names) - {MANIFEST}, "the bundle does not hold what its manifest lists")
    for name, digest in listed.items():
        require(sha256(files[name]).hexdigest() == digest, f"{name} is not the file that was signed")
    print(f"manifest: {len(listed)} files, as {key.name} signed them")
    for line in lines:
        if line[:1] == "#":
            print(f"  it states: {line[2:]}")
    head = Head(files[CHECKPOINT].decode(), key)
    print(f"tree head: {head.size} events under the root {head.root.hex()}")
    events = []
    for name in sorted(name for name in names if name.startswith("events/")):
        stem = name.removeprefix("events/").removesuffix(".json")
        proof = files[f"proofs/{stem}.tlog-proof"].decode()
        require(check_proof(files[name], proof, head) == int(stem), f"{name} is proven for another position")
        events.append(read_event(files[name]))
    print(f"events: {len(events)}, each proven to be in the log at its position")
    print(f"chains: {check_chains(events)} links hold")
    if rules:
        replayed, judged = check_rules(events, path)
        print(f"rules: {replayed} states replayed, {judged} commands decided again")


def check_balance(path: Path, vkey: str) -> None:
    """Check an answer of balance-at with proof=1. What is proven is the balance in minor units."""
    answer = json.loads(path.read_bytes())
    proof, at = answer["proof"], answer["at"]
    key = KeyRing(vkey, proof.get("succession", ()))
    head = Head(proof["checkpoint"], key)
    event = _proven(proof["event"], head)
    account_id, version, minor = event["aggregate_id"], event["version"], event["state"]["balance_minor"]
    require(len(at) == 27 and at[-1] == "Z", "the instant is not in UTC with six decimals")
    require(account_id == answer["account_id"], "the event is of another account")
    require(event["recorded_at"] <= at, "the event is later than the instant")
    require(minor == proof["balance_minor"], "the event left another balance")
    require(int(answer["balance"].replace(".", "")) == minor, "the balance is not that of the event")
    require(version == answer["version"], "the event is of another version")
    require(event["state"]["currency"] == answer["currency"], "the event is in another currency")
    if proof["next"] is not None:
        later = _proven(proof["next"], head)
        require((later["aggregate_id"], later["version"]) == (account_id, version + 1), "that is not the next event")
        require(later["previous_hash"] == event["hash"].hex(), "the next event does not follow the event")
        require(later["recorded_at"] > at, "the next event is not later than the instant")
        print(f"the next event of the account is proven and later than {at}")
    else:
        text = f"{key.name} statement\n{account_id} has no version {version + 1} at tree size {head.size}\n"
        require(key.open(proof["statement"]) == text, "the statement says something else")
        print(f"signed statement: no later event of the account among the first {head.size}")
    print(f"balance of {account_id} at {at}: {minor} minor units of {answer['currency']}, proven")


def _proven(part: dict[str, Any], head: Head) -> dict[str, Any]:
    entry = part["entry"].encode()
    lines = ["c2sp.org/tlog-proof@v1", f"index {part['index']}", *part["path"]]
    check_proof(entry, "\n".join(lines) + "\n\n" + head.note, head)
    return read_event(entry)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a Chronicle Ledger evidence bundle or a proven balance.")
    parser.add_argument("evidence", type=Path)
    parser.add_argument("--key", help="the log's verifier key, or a file that holds it")
    parser.add_argument("--rules", action="store_true", help="run the rules in the bundle on its commands")
    options = parser.parse_args()
    vkey = options.key
    if vkey and Path(vkey).is_file():
        vkey = Path(vkey).read_text()
    try:
        if zipfile.is_zipfile(options.evidence):
            check_bundle(options.evidence, vkey, options.rules)
        elif vkey is None:
            parser.error("a balance carries no key: give --key")
        else:
            check_balance(options.evidence, vkey)
    except Broken as broken:
        print(f"BROKEN: {broken}")
        return 1
    except UNREADABLE as error:
        print(f"BROKEN: it cannot be read as evidence: {type(error).__name__}: {error}")
        return 1
    if not vkey:
        print("NOTE: checked under the bundle's own key; give --key to know whose it is")
    print("OK: everything holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
