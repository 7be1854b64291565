"""Runs a verification: cuts the journal into segments, shares them out over processes, and adds the rest.

Each process has its own connection and holds a thousand rows at a time, so a log of any length fits; the
segments need nothing from each other, so twice the cores is twice the speed. A process takes neighbouring
segments, because what it remembers of the accounts it has seen spares looking them up again (ADR 7).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

from ledger.store import tree
from ledger.store.connection import dedicated_connection, translated
from ledger.store.succession import Trust
from ledger.store.tiles import TILE_WIDTH
from ledger.verify import rows, unreadable, whole
from ledger.verify.account import verify_account
from ledger.verify.against import check_against
from ledger.verify.chains import Chains
from ledger.verify.faults import NONSENSE
from ledger.verify.keys import follow_keys
from ledger.verify.segment import Findings, Segment, verify_segment
from ledger.verify.tile_checks import check_upper_tiles
from ledger.verify.waiting import check_waiting

# Positions per segment: half a second of work or so, which is how smooth the progress is.
SEGMENT_POSITIONS = 64 * TILE_WIDTH
SEGMENTS_WAITING = 2  # per process, so that none idles
_COVERED = "SELECT coalesce(max(tree_size), 0) FROM tree_heads"

# A process, and what of the journal it has still to look at.
Share = tuple[ProcessPoolExecutor, Iterator[Segment]]
Progress = Callable[[int], None]  # told how many more events were checked


@dataclass(frozen=True, slots=True)
class Request:
    """What to verify. `against`: (where it came from, checkpoint) of heads kept outside the store."""

    trust: Trust
    from_position: int = 1
    account_id: str | None = None
    against: tuple[tuple[str, str], ...] = ()
    semantic: bool = False
    processes: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    reads_anything: bool = False


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the journal goes, and how far a signed head does."""

    size: int
    covered: int


@contextmanager
def unhurried_connection(*, reads_anything: bool = False) -> Iterator[tree.Connection]:
    """Yield a connection whose statements may take as long as the log is long."""
    with dedicated_connection() as conn:
        if reads_anything:
            unreadable.read_anything(conn)
        conn.execute("SET statement_timeout = 0")
        yield conn


def extent_of(conn: tree.Connection) -> Extent:
    with translated():  # heads first, or one signed in between would cover what is not looked at
        (covered,) = conn.execute(_COVERED).fetchone() or (0,)
    return Extent(rows.journal_end(conn), max(0, covered))


def verify(request: Request, progress: Progress = lambda count: None) -> Findings:
    """Verify what is asked and return what was seen."""
    try:
        return _verify(request, progress)
    except (*NONSENSE, *unreadable.ERRORS):
        return _verify(replace(request, reads_anything=True), progress)


def _verify(request: Request, progress: Progress) -> Findings:
    findings = Findings()
    with unhurried_connection(reads_anything=request.reads_anything) as conn:
        extent = extent_of(conn)
        trust, faults = follow_keys(conn, request.trust)
        findings.add(faults)
        request = replace(request, trust=trust)
        findings.add(check_against(conn, request.against, extent.size, request.trust))
        if request.account_id is not None:
            findings.add(check_waiting(conn, semantic=request.semantic, account_id=request.account_id))
            findings.merge(verify_account(conn, request.account_id, request.trust,
                                          reads_anything=request.reads_anything))  # fmt: skip
            return findings

        def check_whole() -> None:
            findings.add(whole.check_unrecorded(conn))
            findings.add(check_waiting(conn, semantic=request.semantic))
            findings.add(whole.check_positions(conn))
            findings.add(whole.check_tree_rows(conn))
            findings.add(whole.check_signed(conn, extent.covered))
            findings.add(check_upper_tiles(conn, extent.covered, extent.size))

        for seen in _segments_verified(conn, request, extent, meanwhile=check_whole):
            findings.merge(seen)
            progress(seen.events)
    findings.faults.sort(key=lambda fault: (fault.position is None, fault.position or 0))
    return findings


def _segments(conn: tree.Connection, request: Request, extent: Extent) -> Iterator[Segment]:
    """Yield the segments that hold a row, and the last one; what is missing between two the later one reports."""
    after = (request.from_position - 1) // TILE_WIDTH * TILE_WIDTH
    # A head beyond the journal is looked at too: it shows what is missing.
    end = max(extent.size, extent.covered)
    while after < end:
        next_row = rows.row_before_next(conn, after)
        if next_row is not None and next_row >= after + SEGMENT_POSITIONS:
            after = next_row // TILE_WIDTH * TILE_WIDTH
        up_to = end if next_row is None else min(after + SEGMENT_POSITIONS, end)
        yield Segment(after, up_to, extent.covered, up_to == end, request.trust, request.semantic,
                      request.reads_anything)  # fmt: skip
        after = up_to


def _segments_verified(
    conn: tree.Connection, request: Request, extent: Extent, meanwhile: Callable[[], None]
) -> Iterator[Findings]:
    """Yield what was found in each segment, in any order. `meanwhile`: what the caller does while others work."""
    segments = list(_segments(conn, request, extent))
    processes = min(request.processes, len(segments))
    if processes <= 1:
        meanwhile()
        chains = Chains(conn)
        for segment in segments:
            yield verify_segment(conn, segment, chains)
        return
    initargs = (request.reads_anything,)
    with ExitStack() as stack:
        shares, waiting = [], dict[Future[Findings], Share]()
        for number in range(processes):
            executor = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"), _start_worker, initargs))
            first, last = (len(segments) * n // processes for n in (number, number + 1))
            shares.append((executor, iter(segments[first:last])))
        for share in shares * SEGMENTS_WAITING:
            _submit_next(share, waiting)
        meanwhile()
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                _submit_next(waiting.pop(future), waiting)
                yield future.result()


def _submit_next(share: Share, waiting: dict[Future[Findings], Share]) -> None:
    executor, segments = share
    if (segment := next(segments, None)) is not None:
        waiting[executor.submit(_verify_in_worker, segment)] = share


_worker: dict[str, Any] = {}


def _start_worker(reads_anything: bool) -> None:
    # Not django.setup(): verification has no use for models, and loading every app takes each process a second.
    gc.disable()  # rows make no cycles, and looking for some among them costs a tenth of the time
    resources = ExitStack()
    connection = resources.enter_context(unhurried_connection(reads_anything=reads_anything))
    _worker.update(resources=resources, connection=connection, chains=Chains(connection))


def _verify_in_worker(segment: Segment) -> Findings:
    return verify_segment(_worker["connection"], segment, _worker["chains"])
