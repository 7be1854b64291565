"""Verifies one range of positions: the unit that processes share out, and that `--from` starts with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.store.succession import Trust
from ledger.store.tiles import TILE_WIDTH
from ledger.store.tree import Connection
from ledger.verify import rows
from ledger.verify.chains import Chains
from ledger.verify.event_checks import check_event
from ledger.verify.faults import Fault
from ledger.verify.journal_checks import JournalCheck
from ledger.verify.request_keys import check_keys
from ledger.verify.semantics import CommandCheck
from ledger.verify.tree_checks import LeafCheck

# Enough to see what was done; a rewritten log has millions, and they would fill the memory.
FAULTS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Segment:
    """Positions `after` + 1 to `up_to`. `covered`: size of the last signed head; `is_last`: the journal ends here."""

    after: int
    up_to: int
    covered: int
    is_last: bool
    trust: Trust
    semantic: bool = False


@dataclass(slots=True)
class Findings:
    """What a verification saw. `faults` holds the first ones, `fault_count` counts all."""

    events: int = 0
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0

    def add(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self.fault_count += 1
            if len(self.faults) < FAULTS_KEPT:
                self.faults.append(fault)

    def merge(self, other: Findings) -> None:
        self.events += other.events
        self.fault_count += other.fault_count
        self.faults += other.faults[: FAULTS_KEPT - len(self.faults)]


def verify_segment(conn: Connection, segment: Segment, chains: Chains) -> Findings:
    """Check every row of the range, the tiles and heads over it. `chains`: what earlier segments have left."""
    assert segment.after % TILE_WIDTH == 0, "segments meet where tiles do"
    findings = Findings()
    seed = rows.seed(conn, segment.after)
    # Rows of a command that began before the range are read again, so that the command is seen whole.
    begun = seed.command_index + 1 if seed.command_index + 1 < seed.command_size else 0
    start = max(0, segment.after - begun)
    if begun:
        seed = rows.seed(conn, start)
    journal = JournalCheck(seed)
    command = CommandCheck(conn) if segment.semantic else None
    leaves = LeafCheck(conn, segment.after, segment.up_to, segment.covered, segment.trust)
    ignored = Findings()
    for batch in rows.by_position(conn, start, segment.up_to):
        chains.prepare(batch)
        for row in batch:
            is_inside = row.position > segment.after
            seen = findings if is_inside else ignored
            before = chains.before(row)
            if faults := journal.check(row, before):
                seen.add(faults)
            if command:
                seen.add(command.check(row, before))
            if faults := check_event(row, before, chains):
                seen.add(faults)
            if is_inside and (faults := leaves.check(row)):
                seen.add(faults)
        inside = [row for row in batch if row.position > segment.after]
        findings.add(check_keys(conn, inside))
        findings.events += len(inside)
    if segment.is_last:
        findings.add(journal.finish(segment.up_to))
    findings.add(leaves.finish())
    return findings
