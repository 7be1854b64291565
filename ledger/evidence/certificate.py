"""Certificates of erasure: what was erased, by which event, and that every proof of it still holds.

A certificate is a signed note (c2sp.org/signed-note) whose text is a line of title and one JSON object. It holds
no text of the subject, and not the key: only that the key is destroyed, which events had texts under it, and the
inclusion proof of each under a signed head. Each proof is checked before it is written down, and `verify_evidence.py`
does it again with nothing but the note and the log's key. It also says which texts were not erased, because they were
recorded in plain before texts were sealed, and what became of copies.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ledger.domain.account import ERASED
from ledger.domain.cash import INITIAL_BALANCE
from ledger.domain.commands import FREE_TEXT, ExpireHold, FailTransfer, type_of
from ledger.domain.events import SubjectErased
from ledger.domain.holds import EXPIRED
from ledger.domain.instants import format_instant
from ledger.errors import LedgerError
from ledger.evidence.parts import short_succession
from ledger.evidence.selection import Positioned, Selection
from ledger.store import journal, merkle, succession
from ledger.store.proofs import Prover
from ledger.store.recorded import RecordedEvent, hash_of
from ledger.store.signed_note import Signer
from ledger.store.tree import Connection
from ledger.store.tree_heads import StoredHead
from ledger.subjects.keys import Standing
from ledger.subjects.seal import is_sealed, key_ids_of

# What the ledger says itself, about nobody.
OWN_WORDS = ("", ERASED, EXPIRED, INITIAL_BALANCE)
OWN_COMMANDS = (type_of[ExpireHold], type_of[FailTransfer])  # of its workers; their reasons are codes

# What a certificate says of copies.
ELSEWHERE = {
    "sealed": "log entries, the stream, and evidence bundles, whenever they were made, hold these texts sealed under "
    "the destroyed keys, and never held them otherwise",
    "portal": "the portal keeps no file that it exports, and auditors' notes on these accounts are sealed likewise",
    "out_of_reach": "what somebody read, copied, downloaded as an export or has in a backup of the portal's database",
}


class NotCertifiable(LedgerError):
    """A key still stands, no signed head covers the erasure, or an event's proof does not hold: run verify_ledger."""

    code = "not_certifiable"
    status = 503


@dataclass(slots=True)
class _Gone:
    """What the erasures of some accounts took: `before` are the accounts' own events from before them."""

    erasures: Positioned = field(default_factory=list)
    keys: dict[str, Standing] = field(default_factory=dict)
    before: Positioned = field(default_factory=list)

    def take(self, own: Positioned, account_id: str, keys: Sequence[Standing], tree_size: int) -> None:
        """Add an account's events and the keys it has had. Raises: NotCertifiable."""
        erasures = [positioned for positioned in own if positioned[1].event_type == SubjectErased.__name__]
        if not erasures:
            raise NotCertifiable(f"no erasure of {account_id} is under the head of size {tree_size}")
        destroyed = [key for key in keys if key.generation < len(erasures)]
        if standing := [key.generation for key in destroyed if key.erased_at is None]:
            raise NotCertifiable(f"the keys of {account_id} numbered {standing} are not destroyed yet")
        self.erasures += erasures
        self.keys.update((key.key_id, key) for key in destroyed)
        self.before += [(position, event) for position, event in own if position < erasures[-1][0]]


def write_certificate(conn: Connection, subject_id: str, keys: Mapping[str, Sequence[Standing]], head: StoredHead,
                      signer: Signer) -> str:  # fmt: skip
    """Return the certificate of all erasures of a subject under a head. `keys`: those of each account, by its id.

    Raises: NotCertifiable, TooMuchEvidence.
    """
    gone = _Gone()
    for account_id, standing in keys.items():
        gone.take(Selection(account_id).read(conn, head.tree_size), account_id, standing, head.tree_size)
    about = dict([*gone.before, *_other_sides(gone.before)])
    prover = Prover(conn, head)
    erased = [
        {**_proven(position, event, prover), "fields": names}
        for position, event in sorted(about.items())
        if (names := [name for name, text in _texts(event) if _is_under(text, gone.keys)])
    ]
    statement = {
        "subject_id": subject_id,
        "account_ids": sorted(keys),
        "erasures": [_erasure(position, event) for position, event in sorted(gone.erasures)],
        "keys_destroyed": [_key(key) for key in gone.keys.values()],
        "erased": erased,
        # Whose statements lost words too, because they shared them.
        "shared_with": sorted({event["aggregate_id"] for event in erased} - keys.keys()),
        "erasure_proofs": [_proven(position, event, prover) for position, event in sorted(gone.erasures)],
        "not_erased": [
            {"position": position, "event_id": str(event.event_id), "fields": names}
            for position, event in sorted(gone.before)
            if (names := [name for name, text in _texts(event) if not is_sealed(text) and text not in OWN_WORDS])
            and event.metadata["command_type"] not in OWN_COMMANDS
        ],
        "elsewhere": ELSEWHERE,
        "tree_head": head.note,
    }
    if keys_of_log := short_succession(conn, succession.changes(conn), head):
        statement["succession"] = keys_of_log
    return signer.sign(f"{signer.name} erasure\n{json.dumps(statement, indent=1, ensure_ascii=False)}\n")


def _other_sides(own: Positioned) -> Iterator[tuple[int, RecordedEvent]]:
    """Yield the events of other accounts that one command recorded together with these: they may share a text."""
    for position, event in own:
        index, size = event.metadata["command_index"], event.metadata["command_size"]
        if size > 1:
            for beside in journal.read(position - index - 1, size):
                if beside.event.aggregate_id != event.aggregate_id:
                    yield beside.position, beside.event


def _texts(event: RecordedEvent) -> Iterator[tuple[str, str]]:
    for part, content in (("data", event.data), ("state", event.state)):
        for name in FREE_TEXT:
            if isinstance(text := content.get(name), str):
                yield f"{part}.{name}", text


def _is_under(text: str, keys: dict[str, Standing]) -> bool:
    return is_sealed(text) and not keys.keys().isdisjoint(key_ids_of(text))


def _erasure(position: int, event: RecordedEvent) -> dict[str, Any]:
    return {
        "position": position,
        "account_id": event.aggregate_id,
        "event_id": str(event.event_id),
        "recorded_at": format_instant(event.recorded_at),
        "actor": event.metadata["actor"],
        **event.data,
    }


def _key(key: Standing) -> dict[str, Any]:
    assert key.erased_at is not None, "only destroyed keys are certified"
    instants = {"created_at": format_instant(key.created_at), "erased_at": format_instant(key.erased_at)}
    return {**asdict(key), **instants}


def _proven(position: int, event: RecordedEvent, prover: Prover) -> dict[str, Any]:
    proof = prover.prove(position)
    try:
        if hash_of(event) != event.hash or proof.leaf_hash != event.hash:
            raise merkle.InvalidProof("its bytes have another hash")
        merkle.check_inclusion(event.hash, proof.index, prover.head.tree_size, proof.path, prover.head.root)
    except merkle.InvalidProof as error:
        raise NotCertifiable(f"event {event.event_id} at position {position} is not proven: {error}") from error
    return {
        "position": position,
        "event_id": str(event.event_id),
        "aggregate_id": event.aggregate_id,
        "version": event.version,
        "hash": event.hash.hex(),
        "path": [base64.b64encode(node).decode() for node in proof.path],
    }
