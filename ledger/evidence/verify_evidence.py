#!/usr/bin/env python3
"""Checks evidence of a Chronicle Ledger with nothing but this file: bundles, balances, certificates, consistency.

    python verify_evidence.py BUNDLE.zip --key KEY      (KEY: the log's verifier key, or a file that holds it)
    python verify_evidence.py BALANCE.json --key KEY      (what balance-at answered with proof=1)
    python verify_evidence.py ERASURE.certificate --key KEY
    python verify_evidence.py CONSISTENCY.txt --head KEPT --key KEY      (what /log/consistency said of a head you kept)

Needs Python 3.11 and the package `cryptography`; no network, no database, no Django. Take the key from
where you got it when you first met the log, not from the bundle: without --key the bundle's own key is used,
and then a bundle that was forged as a whole passes. With --rules the rules of the ledger, which lie in the
bundle as Python, decide every command again; leave it out if you do not want to run them.

Formats: RFC 8785 (canonical JSON), RFC 9162 section 2 (Merkle tree), c2sp.org/signed-note,
c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof, c2sp.org/tlog-witness (the request to add-checkpoint, as the proof
that one head continues another). Exit code: 0 everything holds, 1 something does not, 2 usage.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import lzma
import re
import sys
import zipfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST, CHECKPOINT, KEY, SUCCESSION = "MANIFEST", "checkpoint", "key", "succession.json"
NO_HASH = bytes(32)
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
# A proven balance travels packed: LZMA without a header, and in it what has few bytes and many letters as its bytes
# after one that no UTF-8 has: hashes, ids, microseconds since the year 1. Two entries have at most 131,070 bytes.
PACKED_BYTES_MAX = 1 << 18
PACKING: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA1, "dict_size": PACKED_BYTES_MAX, "lc": 3, "lp": 0, "pb": 0}]
# What the manifest of an account's bundle states.
ALL_OF_ACCOUNT = re.compile(r"# (\S+) has versions 1 to ([0-9]+) and no other at tree size [0-9]+")
YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
SHORT = re.compile(rb"\xfd(.{32})|\xfe(.{16})|\xff(.{8})", re.DOTALL)
# What a proven balance says that nothing proves, and that is not relied upon: the question, and the answer's own word.
NOT_PROVEN = ("at", "final")
# ISO 4217: the decimals of currencies that have not two. Those of a ledger's own currency only its reader can tell.
DECIMALS = {code: number for number, codes in (
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"), (4, "CLF UYW")) for code in codes.split()}  # fmt: skip
# What reading altered evidence raises, beyond Broken.
UNREADABLE = (EOFError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, OSError,
              zipfile.BadZipFile, lzma.LZMAError)  # fmt: skip


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


class Keys:
    """The keys of the log, from the one that is believed along its changes, each of which both of its keys signed.

    A change is an event of the log: heads from its position on count under the new key alone, earlier ones only
    under the old one. `prove` holds that the changes are where they say, under a head that they lead to.
    """

    def __init__(self, vkey: str, succession: dict[str, Any] | None) -> None:
        believed = LogKey(vkey)
        self.name, self._keys, self._only = believed.name, {believed.vkey: believed}, believed
        self.changes = [(change["index"] + 1, change, read_event(change["entry"].encode()))
                         for change in (succession or {"changes": []})["changes"]]  # fmt: skip
        if not self.changes:
            return
        events = [event for _, _, event in self.changes]
        versions = [event["version"] for event in events]
        require(all(event["aggregate_id"] == "log:keys" for event in events), "a change of keys is none")
        require(versions == list(range(versions[0], versions[0] + len(events))), "a change of keys is left out")
        order = events[-1]["state"]["keys"]
        pairs = list(pairwise(order))
        links = [(event["data"]["old_key"], event["data"]["new_key"]) for event in events]
        require(links == pairs[versions[0] - 1 :], "the changes of keys differ")
        notes = [*(succession or {}).get("notes", ()), *(event["data"]["note"] for event in events)]
        require(len(notes) == len(pairs), "the note of a change of keys is missing")
        for pair, note in zip(pairs, notes, strict=True):
            self.link(pair, note)
        require(believed.vkey in order, "the changes of keys lead to no key that is believed")

    def follow(self, notes: list[str]) -> None:
        """Let the key at the end of a chain of notes be the one that signs; the one that is believed is in it too."""
        links = [tuple(note.partition("\n\n")[0].split("\n")[1:3]) for note in notes]
        require(all(one[1] == other[0] for one, other in pairwise(links)), "the changes of keys differ")
        require(any(self._only.vkey in link for link in links), "the changes of keys lead to no key that is believed")
        for (old, new), note in zip(links, notes, strict=True):
            self.link((old, new), note)
        self._only = self._keys[links[-1][1]]

    def link(self, vkeys: tuple[str, str], note: str) -> None:
        """Check the note in which two keys say that one follows the other."""
        pair = [LogKey(vkey) for vkey in vkeys]
        text = f"{self.name} key succession\n{vkeys[0]}\n{vkeys[1]}"
        require({key.name for key in pair} == {self.name}, "a change of keys is of another log")
        require(note.partition("\n\n")[0] == text, "the note of a change of keys says something else")
        require(all(key.signed(note) for key in pair), "a change of keys is not signed by both keys")
        self._keys.update((key.vkey, key) for key in pair)

    def at(self, size: int) -> LogKey:
        """Return the one key whose signature counts on a head of a size."""
        if not self.changes:
            return self._only
        before = [event["data"]["new_key"] for position, _, event in self.changes if position <= size]
        first = self.changes[0][2]
        require(bool(before) or first["version"] == 1, f"which key signs a head of size {size} is not in the evidence")
        return self._keys[before[-1] if before else first["data"]["old_key"]]

    def open(self, note: str, size: int) -> str:
        """Return the text of a note that the key of a head's size signed."""
        require(self.at(size).signed(note), f"not signed by the key of {self.name} that signs at size {size}")
        return note.rpartition("\n\n")[0] + "\n"

    def prove(self, head: Head) -> None:
        """Check that every change is an event under a head."""
        for position, change, event in self.changes:
            root = root_of(event["hash"], position - 1, head.size, [decode(node) for node in change["path"]])
            require(root == head.root, f"the change of keys at position {position} is not in the log")


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
    """A checkpoint: origin, size, root; checked to be signed by the key of its size, or else vouched for."""

    def __init__(self, note: str, keys: Keys, is_vouched_for: bool = False) -> None:
        self.note = note
        origin, size, root = note.partition("\n\n")[0].split("\n")[:3]
        require(origin == keys.name, f"the checkpoint is of the log {origin}")
        self.size, self.root = int(size), decode(root)
        require(size == str(self.size), "the size of a checkpoint is not spelled canonically")
        if not is_vouched_for:
            keys.open(note, self.size)


def check_growth(first: Head, second: Head, path: list[bytes]) -> None:
    """Check that a head continues another (RFC 9162 section 2.1.4.2)."""
    require(0 < first.size < second.size, "the later head is the smaller one")
    node, last = first.size - 1, second.size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    start, *rest = path if node else [first.root, *path]
    old = new = start
    for sibling in rest:
        require(last > 0, "the path between two heads is too long")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    require((old, new, last) == (first.root, second.root, 0), "the later head is of another history")


def open_head(note: str, keys: Keys, succession: dict[str, Any] | None) -> tuple[Head, Head]:
    """Return a head and the one that the changes of keys are proven under, the same where nothing came between."""
    head = last = Head(note, keys)
    if succession and "checkpoint" in succession:
        last = Head(succession["checkpoint"], keys)
        check_growth(head, last, [decode(node) for node in succession["consistency"]])
    keys.prove(last)
    return head, last


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


def check_completeness(lines: list[str], events: list[dict[str, Any]]) -> None:
    """Check that a bundle which is stated to be all of an account has no gap: the statement is about what is here."""
    for stated in filter(None, map(ALL_OF_ACCOUNT.fullmatch, lines)):
        versions = sorted(event["version"] for event in events if event["aggregate_id"] == stated[1])
        has_all = versions == list(range(1, int(stated[2]) + 1))
        require(has_all and len(versions) == len(events), f"not all versions of {stated[1]} are here, as is stated")


def check_rules(events: list[dict[str, Any]], bundle: Path) -> tuple[int, int, int]:
    """Replay and decide again by the bundle's own rules; return of how many states, commands, targets not in it."""
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
        size = sum(info.file_size for info in bundle.infolist())
        require(size < path.stat().st_size, "its files are larger than the bundle")
        require(len(names) == len(set(names)), "a file is in the bundle twice")
        require(not any(info.compress_type for info in bundle.infolist()), "a file is not stored as it is")
        files = {name: bundle.read(name) for name in names}
    again = io.BytesIO()
    write_archive(again, files)
    require(again.getvalue() == path.read_bytes(), "the archive is not, byte for byte, what these files make")
    succession = json.loads(files[SUCCESSION]) if SUCCESSION in files else None
    keys = Keys(vkey or files[KEY].decode(), succession)
    head, last = open_head(files[CHECKPOINT].decode(), keys, succession)
    manifest = files[MANIFEST].decode()
    require(manifest.rpartition("\n\n")[2].count("\n") == 1, "the manifest has a signature line that is not its own")
    title, *lines = keys.open(manifest, last.size).rstrip("\n").split("\n")
    require(title == f"{keys.name} evidence", "the manifest is of another log")
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines if line[:1] != "#")}
    require([*listed, MANIFEST] == names, "the bundle does not hold what its manifest lists, in that order")
    for name, digest in listed.items():
        require(sha256(files[name]).hexdigest() == digest, f"{name} is not the file that was signed")
    print(f"manifest: {len(listed)} files, as {keys.name} signed them")
    for line in lines:
        if line[:1] == "#":
            print(f"  it states: {line[2:]}")
    print(f"tree head: {head.size} events under the root {head.root.hex()}")
    if keys.changes:
        print(f"keys: {len(keys.changes)} changes, proven; the head is signed by the key of its size, and no other")
    events = []
    for name in sorted(name for name in names if name.startswith("events/")):
        stem = name.removeprefix("events/").removesuffix(".json")
        proof = files[f"proofs/{stem}.tlog-proof"].decode()
        require(check_proof(files[name], proof, head) == int(stem), f"{name} is proven for another position")
        events.append(read_event(files[name]))
    print(f"events: {len(events)}, each proven to be in the log at its position")
    check_completeness(lines, events)
    print(f"chains: {check_chains(events)} links hold")
    if rules:
        replayed, judged, unseen = check_rules(events, path)
        print(f"rules: {replayed} states replayed, {judged} commands decided again"
              + f"; whether the targets of {unseen} ever existed is not in the bundle" * bool(unseen))  # fmt: skip


def check_balance(path: Path, vkey: str, decimals: int | None = None) -> None:
    """Check an answer of balance-at with proof=1. `decimals`: those of the currency, where its reader has to say."""
    answer = json.loads(path.read_bytes(), object_pairs_hook=said_once)
    proof, at = answer.pop("proof"), answer["at"]
    named = {"checkpoint", "event", "next", "balance_minor", "packed", *["statement"] * (not proof["next"])}
    require(proof.keys() == named, "the proof has other fields than a proof has")
    lines = unpack(proof["packed"])
    keys = Keys(vkey, None)
    parts = [proof["event"], *filter(None, [proof["next"]])]
    if len(lines) > 2 * len(parts):
        keys.follow(json.loads(lines.pop()))
    require(len(lines) == 2 * len(parts), "there is not an entry and a path for each event")
    head = Head(proof["checkpoint"], keys)
    event, *rest = [_proven(part, lines[2 * n : 2 * n + 2], head) for n, part in enumerate(parts)]
    account_id, version, state = event["aggregate_id"], event["version"], event["state"]
    minor, currency = state["balance_minor"], state["currency"]
    number = DECIMALS.get(currency, 2) if decimals is None else decimals
    proven = {"account_id": account_id, "balance": written(minor, number), "currency": currency,
              "status": state["status"], "version": version, "minor": minor}  # fmt: skip
    require(answer["balance"] == proven["balance"], f"the balance is {proven['balance']}, if {currency} has {number} "
            "decimals (say --decimals for a currency that ISO 4217 does not list)")  # fmt: skip
    given = {name: answer[name] for name in answer if name not in NOT_PROVEN} | {"minor": proof["balance_minor"]}
    require(json.dumps(given, sort_keys=True) == json.dumps(proven, sort_keys=True), "the answer is not the event's")
    require(bool(INSTANT.fullmatch(at)), "the instant is not in UTC with six decimals")
    require(event["recorded_at"] <= at, "the event is later than the instant")
    print(f"proven: {account_id} had {answer['balance']} {currency}, {minor} minor units, from {event['recorded_at']}")
    if rest:
        (later,) = rest
        require((later["aggregate_id"], later["version"]) == (account_id, version + 1), "that is not the next event")
        require(later["previous_hash"] == event["hash"].hex(), "the next event does not follow the event")
        require(later["recorded_at"] > at, "the next event is not later than the instant")
        print(f"proven: the next event came at {later['recorded_at']}, so the balance of {at} is that, and finally")
    else:
        text = f"{keys.name} statement\n{account_id} has no version {version + 1} at tree size {head.size}\n"
        require(keys.open(proof["statement"], head.size) == text, "the statement says something else")
        print(f"signed statement: no later event of it among the first {head.size}: so at {at}, as far as they go")
        print("NOTE: an old answer can be given a later instant: compare that head with the log's last one")
    print(f"not proven, and not relied upon: {' and '.join(NOT_PROVEN)}; compare the first with what you asked")


def said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object that says each thing once: of two balances another reader would take the other one."""
    require(len(dict(pairs)) == len(pairs), "a name stands twice in one object")
    return dict(pairs)


def unpack(packed: str) -> list[str]:
    """Return the lines of a proven balance: of each event entry and path, then the notes of changes of keys."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=PACKING)
    short = unpacker.decompress(base64.b85decode(packed), PACKED_BYTES_MAX)
    require(unpacker.eof and not unpacker.unused_data, "what is packed does not end where it should")
    return SHORT.sub(lambda match: spelled(*match.groups()), short).decode().split("\n")


def spelled(digest: bytes | None, id_: bytes | None, instant: bytes | None) -> bytes:
    """Return the letters of the one of these that is there."""
    if instant is not None:
        at = YEAR_ONE + timedelta(microseconds=int.from_bytes(instant))
        return f"{at.isoformat(timespec='microseconds')[:26]}Z".encode()
    return (digest.hex() if digest is not None else str(UUID(bytes=id_))).encode()


def written(minor: int, decimals: int) -> str:
    """Return minor units as a decimal number with so many decimals."""
    digits = f"{abs(minor):0{decimals + 1}}"
    return "-" * (minor < 0) + (f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits)


def _proven(part: dict[str, int], lines: list[str], head: Head) -> dict[str, Any]:
    entry, path = lines
    event = read_event(entry.encode())
    root = root_of(event["hash"], part["index"], head.size, [bytes.fromhex(node) for node in path.split()])
    require(root == head.root, "an event is not in the log at its index")
    return event


def check_consistency(proof: str, kept: str, vkey: str) -> None:
    """Check that a signed head continues one that its reader kept; the proof is a request to add-checkpoint."""
    lines, _, checkpoint = proof.partition("\n\n")
    old, *path = lines.split("\n")
    keys = Keys(vkey, None)
    first, second = Head(kept, keys, is_vouched_for=True), Head(checkpoint, keys)
    require(old == f"old {first.size}", "the proof is for a head of another size than the one that was kept")
    if first.size == second.size:
        require(not path and first.root == second.root, "two heads of one size are of different histories")
    else:
        check_growth(first, second, [decode(node) for node in path])
    print(f"tree head: the first {first.size} of {second.size} events are those of the head that you kept")
    if not keys.at(first.size).signed(kept):
        print("NOTE: that head is signed by another key than the one given: that it is the log's is your word")


def check_certificate(note: str, vkey: str) -> dict[str, Any]:
    """Check a certificate of erasure and return what it states: its signature, its head, and each proof in it."""
    text, _, signatures = note.rpartition("\n\n")
    require(signatures.count("\n") == 1, "the certificate has a signature line that is not its own")
    title, _, body = text.partition("\n")
    statement: dict[str, Any] = json.loads(body)
    keys = Keys(vkey, statement.get("succession"))
    require(title == f"{keys.name} erasure", f"it is no certificate of erasure by {keys.name}")
    head, _ = open_head(statement["tree_head"], keys, statement.get("succession"))
    keys.open(note, head.size)
    for proven in (*statement["erased"], *statement["erasure_proofs"]):
        path = [decode(node) for node in proven["path"]]
        root = root_of(bytes.fromhex(proven["hash"]), proven["position"] - 1, head.size, path)
        require(root == head.root, f"the event at position {proven['position']} is not in the log")
    erasures = [(erasure["position"], erasure["event_id"]) for erasure in statement["erasures"]]
    proofs = [(proof["position"], proof["event_id"]) for proof in statement["erasure_proofs"]]
    require(bool(erasures) and erasures == proofs, "an erasure is not proven")
    return statement


def print_certificate(path: Path, vkey: str) -> None:
    stated = check_certificate(path.read_bytes().decode(), vkey)
    accounts = ", ".join(stated["account_ids"])
    print(f"erased: {stated['subject_id']} (accounts {accounts}), in {len(stated['erasures'])} erasures on record")
    print(f"keys destroyed, as the holder states: {len(stated['keys_destroyed'])}")
    print(f"events that lost a text, each proven to be in the log: {len(stated['erased'])}")
    print(f"events whose texts were never sealed and are NOT erased: {len(stated['not_erased'])}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a bundle, a balance, a certificate or a proof of consistency.")
    parser.add_argument("evidence", type=Path)
    parser.add_argument("--key", help="the log's verifier key, or a file that holds it")
    parser.add_argument("--rules", action="store_true", help="run the rules in the bundle on its commands")
    parser.add_argument("--decimals", type=int, help="of a proven balance's currency, where ISO 4217 does not list it")
    parser.add_argument("--head", type=Path, help="the head that you kept, for a proof that another continues it")
    options = parser.parse_args()
    if not options.evidence.is_file():
        parser.error(f"there is no file {options.evidence}")
    vkey = options.key
    try:
        if vkey:
            vkey = LogKey(Path(vkey).read_text() if Path(vkey).is_file() else vkey).vkey
    except (Broken, *UNREADABLE) as error:
        parser.error(f"--key is no verifier key: {error}")
    try:
        if zipfile.is_zipfile(options.evidence):
            check_bundle(options.evidence, vkey, options.rules)
        elif vkey is None:
            parser.error("only a bundle carries a key: give --key")
        elif options.evidence.read_bytes()[:4] == b"old ":
            if options.head is None:
                parser.error("a proof of consistency is about a head that you kept: give --head")
            check_consistency(options.evidence.read_text(), options.head.read_text(), vkey)
        elif options.evidence.read_bytes()[:1] == b"{":
            check_balance(options.evidence, vkey, options.decimals)
        else:
            print_certificate(options.evidence, vkey)
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
