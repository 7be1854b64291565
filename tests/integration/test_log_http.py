"""The log as an auditor's own tools read it over HTTP: paths, types, caching and bytes as C2SP specifies them."""

from __future__ import annotations

import base64
import gzip
import struct
import sys
from itertools import combinations_with_replacement
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from knox.models import AuthToken

from chronicle.roles import Role, create_groups
from ledger.domain.commands import CreateAccount
from ledger.evidence import verify_evidence
from ledger.store import merkle
from ledger.store.hashing import leaf_hash
from ledger.store.signed_note import Verifier
from ledger.store.tiles import split_hashes
from ledger.store.tree_head_note import TreeHead, open_tree_head, read_tlog_proof
from ledger.store.tree_heads import StoredHead
from tests.proof_world import long_history, order, rows, sign, small_history, submit
from tests.unit.test_merkle import recursive_hash

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def public(database: None) -> Client:
    return Client()


@pytest.fixture
def auditor(database: None) -> Client:
    user = User.objects.create_user(f"auditor-{uuid4().hex[:8]}")
    user.groups.add(create_groups()[Role.AUDITOR])
    _, token = AuthToken.objects.create(user)
    return Client(headers={"Authorization": f"Token {token}"})


def head_of(client: Client, note: str) -> TreeHead:
    key = Verifier.parse(client.get("/log/key").text)
    return open_tree_head(note, [key], settings.LOG_ORIGIN)


def entries_in(bundle: bytes) -> list[bytes]:
    entries = []
    while bundle:
        (length,) = struct.unpack(">H", bundle[:2])
        entries.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return entries


def test_the_checkpoint_opens_under_the_offered_key_and_is_not_cached_for_long(public: Client) -> None:
    small_history()
    response = public.get("/log/checkpoint")
    assert head_of(public, response.text).size == 10
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Cache-Control"] == "public, max-age=1"


def test_an_earlier_head_is_found_again_by_its_size(public: Client) -> None:
    first = small_history()
    submit(CreateAccount("later", "Later", "USD"))
    sign()
    assert public.get("/log/checkpoint/10").text == first.note
    assert public.get("/log/checkpoint").text != first.note
    assert public.get("/log/checkpoint/9").status_code == 404


def test_the_whole_tree_can_be_rebuilt_from_the_tiles_alone(public: Client) -> None:
    head = long_history(600)
    tiles = [public.get(f"/log/tile/0/{path}") for path in ("000", "001", "002.p/88")]
    assert [len(tile.content) for tile in tiles] == [8192, 8192, 88 * 32]
    leaves = split_hashes(b"".join(tile.content for tile in tiles))
    assert merkle.tree_hash(leaves) == head_of(public, public.get("/log/checkpoint").text).root == head.root
    above = public.get("/log/tile/1/000.p/2").content
    assert split_hashes(above) == [merkle.tree_hash(leaves[:256]), merkle.tree_hash(leaves[256:512])]


def test_tiles_may_be_kept_for_ever_by_anyone(public: Client) -> None:
    long_history(300)
    for path in ("0/000", "0/001.p/44", "1/000.p/1"):
        response = public.get(f"/log/tile/{path}")
        assert response["Content-Type"] == "application/octet-stream"
        assert response["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_partial_tile_of_an_earlier_head_is_still_served_when_the_full_one_is(public: Client) -> None:
    long_history(300)
    full = public.get("/log/tile/0/000").content
    assert public.get("/log/tile/0/000.p/7").content == full[: 7 * 32]


@pytest.mark.parametrize("path", [
    "0/001", "0/001.p/45", "0/002.p/1", "1/000", "1/000.p/2", "2/000.p/1",  # beyond the tree of 300
    "0/000.p/0", "0/000.p/256", "0/000.p/07", "00/000", "01/000", "64/000", "-1/000", "0/0", "0/x000/000", "0/001.p",
    "entries/002.p/1", "0/" + "x999/" * 6 + "999",
])  # fmt: skip
def test_what_is_no_tile_of_the_signed_tree_is_not_found(public: Client, auditor: Client, path: str) -> None:
    long_history(300)
    assert auditor.get(f"/log/tile/{path}").status_code == 404


def test_events_that_no_head_covers_yet_are_in_no_tile(public: Client) -> None:
    small_history()
    submit(CreateAccount("later", "Later", "USD"))
    order()
    assert public.get("/log/tile/0/000.p/10").status_code == 200
    assert public.get("/log/tile/0/000.p/11").status_code == 404


def test_before_the_first_event_there_is_no_checkpoint(public: Client) -> None:
    response = public.get("/log/checkpoint")
    assert (response.status_code, response["Cache-Control"]) == (404, "no-store")
    assert public.get("/log/tile/0/000").status_code == 404


def test_every_entry_hashes_to_its_leaf(public: Client, auditor: Client) -> None:
    long_history(300)
    for path in ("000", "001.p/44"):
        leaves = split_hashes(public.get(f"/log/tile/0/{path}").content)
        entries = entries_in(auditor.get(f"/log/tile/entries/{path}").content)
        assert [leaf_hash(entry) for entry in entries] == leaves


def test_entry_bundles_are_compressed_for_whoever_takes_that(auditor: Client) -> None:
    long_history(300)
    plain = auditor.get("/log/tile/entries/000")
    packed = auditor.get("/log/tile/entries/000", headers={"Accept-Encoding": "gzip, identity"})
    assert (plain.has_header("Content-Encoding"), packed["Content-Encoding"]) == (False, "gzip")
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) < len(plain.content) / 3
    assert plain["Cache-Control"] == packed["Cache-Control"] == "private, max-age=31536000, immutable"


def test_entries_are_account_data_and_need_a_sign_in(public: Client) -> None:
    long_history(300)
    assert public.get("/log/tile/entries/000").status_code == 401


def checked_proof(client: Client, response: HttpResponse) -> dict[str, object]:
    proof = response.json()
    head = head_of(client, proof["checkpoint"])
    assert (head.size, head.root.hex()) == (proof["tree_size"], proof["root_hash"])
    path = [bytes.fromhex(node) for node in proof["path"]]
    merkle.check_inclusion(leaf_hash(proof["entry"].encode()), proof["index"], head.size, path, head.root)
    return proof


def test_every_event_is_proven_under_every_head_that_covers_it(auditor: Client) -> None:
    small_history()
    submit(*(CreateAccount(f"more-{number}", "More", "USD") for number in range(290)))
    sign()
    ids = dict(rows("SELECT position, event_id FROM journal"))
    for position, size in [(1, 10), (10, 10), (1, 300), (10, 300), (256, 300), (257, 300), (300, 300)]:
        proof = checked_proof(auditor, auditor.get(f"/api/v1/events/{ids[position]}/proof?tree_size={size}"))
        assert (proof["position"], proof["tree_size"]) == (position, size)
    assert checked_proof(auditor, auditor.get(f"/api/v1/events/{ids[1]}/proof"))["tree_size"] == 300


def test_a_proof_comes_as_a_tlog_proof_file(auditor: Client) -> None:
    small_history()
    ((event_id, event_hash),) = rows("SELECT event_id, event_hash FROM journal WHERE position = 7")
    response = auditor.get(f"/api/v1/events/{event_id}/proof?form=tlog-proof")
    assert f"{event_id}.tlog-proof" in response["Content-Disposition"]
    index, path, checkpoint = read_tlog_proof(response.text)
    head = head_of(auditor, checkpoint)
    assert index == 6
    merkle.check_inclusion(event_hash, index, head.size, path, head.root)


def test_a_proof_is_refused_for_what_is_not_there(auditor: Client, public: Client) -> None:
    small_history()
    submit(CreateAccount("later", "Later", "USD"))
    ((unordered,),) = rows("SELECT event_id FROM events WHERE aggregate_id = 'later'")
    ((ordered,),) = rows("SELECT event_id FROM journal WHERE position = 1")
    url = "/api/v1/events/{}/proof"
    assert auditor.get(url.format(uuid4())).json()["code"] == "event_not_found"
    assert auditor.get(url.format(unordered)).json()["code"] == "event_not_found"
    order()
    assert auditor.get(url.format(unordered)).json()["code"] == "not_yet"
    assert auditor.get(url.format(ordered) + "?tree_size=9").json()["code"] == "no_tree_head"
    assert auditor.get(url.format(ordered) + "?tree_size=-1").json()["code"] == "invalid_tree_size"
    assert public.get(url.format(ordered)).status_code == 401


def test_a_later_head_is_proven_to_continue_an_earlier_one(public: Client) -> None:
    first = small_history()
    submit(*(CreateAccount(f"more-{number}", "More", "USD") for number in range(290)))
    second = sign()
    proof = public.get("/log/consistency?first=10&second=300").json()
    assert proof == public.get("/log/consistency?first=10").json()
    assert (proof["first"]["checkpoint"], proof["second"]["checkpoint"]) == (first.note, second.note)
    path = [bytes.fromhex(node) for node in proof["path"]]
    merkle.check_consistency(10, 300, path, first.root, second.root)
    assert public.get("/log/consistency?first=10&second=10").json()["path"] == []
    assert public.get("/log/consistency?first=300&second=10").json()["code"] == "wrong_order"
    assert public.get("/log/consistency?first=11").json()["code"] == "no_tree_head"
    assert public.get("/log/consistency").json()["code"] == "invalid_tree_size"
    for far in ("0" * 19 + "19", "0" * 19 + "1" * 5_000, str(2**63)):
        assert public.get(f"/log/consistency?first={far}").json()["code"] == "invalid_tree_size"


def test_a_proof_of_consistency_comes_as_a_witness_takes_it_and_the_offline_script_checks_it(
    public: Client, tmp_path: Path
) -> None:
    """C2SP's tlog-proof knows inclusion only; its text for consistency is the request to tlog-witness's add-checkpoint."""
    kept = [small_history()]
    for size in (256, 300, 513):
        submit(*(CreateAccount(f"more-{size}-{number}", "More", "USD") for number in range(size - kept[-1].tree_size)))
        kept.append(sign())
    leaves = [bytes(leaf) for (leaf,) in rows("SELECT event_hash FROM journal ORDER BY position")]
    key, file = public.get("/log/key").text.strip(), tmp_path / "consistency.txt"
    for first, second in combinations_with_replacement(kept, 2):
        query = f"first={first.tree_size}&second={second.tree_size}"
        response = public.get(f"/log/consistency?{query}&form=add-checkpoint")
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        name = f"consistency-{first.tree_size}-{second.tree_size}.txt"
        assert response["Content-Disposition"] == f'attachment; filename="{name}"'
        lines, _, checkpoint = response.text.partition("\n\n")
        old, *path = lines.split("\n")
        assert (old, checkpoint) == (f"old {first.tree_size}", second.note)
        hashes = [base64.b64decode(line, validate=True) for line in path]
        assert hashes == recursive_proof(first.tree_size, leaves[: second.tree_size])
        file.write_bytes(response.content)
        assert offline(file, first.note, key, tmp_path) == 0
        for wrong in [*set(kept) - {first}, altered_root(first)]:
            note = wrong if isinstance(wrong, str) else wrong.note
            assert offline(file, note, key, tmp_path) == 1
        for number in range(len(response.text)):
            damaged = response.text[:number] + "0" + response.text[number + 1 :]
            if damaged != response.text and (number < 40 or number % 7 == 0):
                file.write_text(damaged)
                assert offline(file, first.note, key, tmp_path) != 0
    refused = public.get("/log/consistency?first=10&form=tlog-proof")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_parameter")


def recursive_proof(first: int, leaves: list[bytes], is_whole: bool = True) -> list[bytes]:
    """RFC 9162 section 2.1.4.1, word for word: SUBPROOF(m, D_n, b)."""
    if first == len(leaves):
        return [] if is_whole else [recursive_hash(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if first <= k:
        return [*recursive_proof(first, leaves[:k], is_whole), recursive_hash(leaves[k:])]
    return [*recursive_proof(first - k, leaves[k:], False), recursive_hash(leaves[:k])]


def offline(file: Path, kept: str, key: str, folder: Path) -> int:
    """Return what the offline script leaves with."""
    (folder / "kept").write_text(kept)
    arguments = ["verify_evidence.py", str(file), "--head", str(folder / "kept"), "--key", key]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", arguments)
        try:
            return verify_evidence.main()
        except SystemExit as left:
            return int(str(left.code))


def altered_root(head: StoredHead) -> str:
    """Return a head of that size over another history, as somebody else might have kept one."""
    origin, size, root, *rest = head.note.split("\n")
    other = base64.b64encode(bytes(reversed(base64.b64decode(root)))).decode()
    return "\n".join([origin, size, other, *rest])


def test_the_key_is_offered_as_a_vkey(public: Client) -> None:
    small_history()
    name, _, key = public.get("/log/key").text.strip().split("+", 2)
    assert name == settings.LOG_ORIGIN
    assert base64.b64decode(key)[:1] == b"\x01"
