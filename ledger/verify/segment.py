"""Verifies one range of positions: the unit that processes share out, and that `--from` starts with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.domain.commands import EVENTS_MAX
from ledger.store.succession import Trust
from ledger.store.tiles import TILE_WIDTH
from ledger.store.tree import Connection
from ledger.verify import rows
from ledger.verify.chains import Chains
from ledger.verify.event_checks import check_event, fault_at, unreadable
from ledger.verify.faults import NONSENSE, Fault, Kind
from ledger.verify.journal_checks import JournalCheck
from ledger.verify.request_keys import check_keys
from ledger.verify.rows import Row
from ledger.verify.semantics import CommandCheck
from ledger.verify.tree_checks import LeafCheck

# Enough to see what was done; a rewritten log has millions, and they would fill the memory.
FAULTS_KEPT = 200


@dataclass(frozen=True, slots=True)
class Segment:
    """Positions `after` + 1 to `up_to`. `covered`: size of the last signed head; `is_last`: the journal ends here.

    `reads_anything`: reading it as usual has failed, so whatever cannot be checked is to be a fault.
    """

    after: int
    up_to: int
    covered: int
    is_last: bool
    trust: Trust
    semantic: bool = False
    reads_anything: bool = False


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
    findings, before_range = Findings(), Findings()
    seed = rows.seed(conn, segment.after)
    # Rows of a command that began before the range are read again, so that the command is seen whole.
    # Not further than any command reaches, whatever is stored of this one.
    begun = seed.command_index + 1 if seed.command_index + 1 < seed.command_size else 0
    start = max(0, segment.after - min(max(begun, 0), EVENTS_MAX))
    if start < segment.after:
        seed = rows.seed(conn, start)
    checks = _RowChecks(conn, segment, seed, chains)
    for batch in rows.by_position(conn, start, segment.up_to):
        if segment.reads_anything:
            batch = [rows.mended(row) for row in batch]
        chains.prepare(batch)
        for row in batch:
            checks.check(row, findings if row.position > segment.after else before_range)
        inside = [row for row in batch if row.position > segment.after]
        findings.add(check_keys(conn, inside))
        findings.events += len(inside)
    checks.finish(findings)
    return findings


class _RowChecks:
    """Everything that is asked of a row, in the order of the journal."""

    def __init__(self, conn: Connection, segment: Segment, seed: rows.Seed, chains: Chains) -> None:
        self._segment, self._chains = segment, chains
        self._journal = JournalCheck(seed)
        self._command = CommandCheck(conn) if segment.semantic else None
        self._leaves = LeafCheck(conn, segment.after, segment.up_to, segment.covered, segment.trust)

    def check(self, row: Row, findings: Findings) -> None:
        chains = self._chains
        try:
            before = chains.before(row)
            if faults := self._journal.check(row, before):
                findings.add(faults)
            if self._command:
                findings.add(self._command.check(row, before))
            if faults := check_event(row, before, chains):
                findings.add(faults)
            if row.position > self._segment.after and (faults := self._leaves.check(row)):
                findings.add(faults)
        except NONSENSE as error:
            if not self._segment.reads_anything:
                raise  # and it is read again, ready for anything
            findings.add([unreadable(row, error)])
        if self._segment.reads_anything and (fields := rows.unreadable_fields(row)):
            findings.add([fault_at(row, Kind.UNREADABLE, f"no value can be read of: {', '.join(fields)}")])

    def finish(self, findings: Findings) -> None:
        if self._segment.is_last:
            findings.add(self._journal.finish(self._segment.up_to))
        findings.add(self._leaves.finish())
