"""Verifies one range of positions: the unit that processes share out, and that `--from` starts with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.store.tiles import TILE_WIDTH
from ledger.store.tree import Connection
from ledger.verify import rows
from ledger.verify.chains import Chains
from ledger.verify.event_checks import check_event
from ledger.verify.faults import Fault
from ledger.verify.journal_checks import JournalCheck
from ledger.verify.semantics import CommandCheck
from ledger.verify.tree_checks import LeafCheck, Trust

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


def verify_segment(conn: Connection, segment: Segment) -> Findings:
    """Check every row of the range, the tiles and heads over it."""
    assert segment.after % TILE_WIDTH == 0, "segments meet where tiles do"
    findings = Findings()
    seed = rows.seed(conn, segment.after)
    # Rows of a command that began before the range are read again, so that the command is seen whole.
    begun = seed.command_index + 1 if seed.command_index + 1 < seed.command_size else 0
    start = max(0, segment.after - begun)
    if begun:
        seed = rows.seed(conn, start)
    journal, chains = JournalCheck(seed), Chains(conn)
    command = CommandCheck(conn) if segment.semantic else None
    leaves = LeafCheck(conn, segment.after, segment.up_to, segment.covered, segment.trust)
    ignored = Findings()
    for batch in rows.by_position(conn, start, segment.up_to):
        chains.prepare(batch)
        for row in batch:
            is_inside = row.position > segment.after
            seen = findings if is_inside else ignored
            before = chains.before(row)
            seen.add(journal.check(row, before))
            if command:
                seen.add(command.check(row, before))
            seen.add(check_event(row, chains))
            if is_inside:
                seen.add(leaves.check(row))
                seen.events += 1
    if segment.is_last:
        findings.add(journal.finish(segment.up_to))
    findings.add(leaves.finish())
    return findings
