"""Statements that are sent without waiting for one another: the one exchange with the server that is more than a call.

A round (`ledger.store.rounds`) sends all it has and waits once; a stream (`ledger.store.append.AppendStream`) has the
server begin while it goes on. Both end in `results`, in a thread or in an event loop.

Outside of a transaction, what comes before a sync is one of its own: PostgreSQL carries it out whole or not at
all (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). On CockroachDB say BEGIN.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from typing import Any

import psycopg
from psycopg import pq

from ledger.store import prepared
from ledger.store.prepared import TEXT, Statement, StoreConnection, error_of, succeeded


class Pipeline:
    """One exchange: `send` and `sync` as often as it takes, and `results` once.

    The connection must be one that nobody else uses meanwhile. After the first failure the server carries out
    nothing more of the transaction.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._sent: list[bytes | None] = []  # what answers will come: to a PREPARE (its name), or to a statement
        self._ends: list[int] = []  # how many of them come before each sync
        self._unmade: Any = None  # the answer to a sync whose transaction was refused at its end
        self._pgconn.enter_pipeline_mode()

    def send(self, statement: Statement, values: Sequence[bytes] = (), formats: Sequence[int] | None = None,
             result_format: int = TEXT) -> None:  # fmt: skip
        """Raises: the psycopg error of a connection that broke."""
        if statement.name not in self._connection.prepared and statement.name not in self._sent:
            self._pgconn.send_prepare(statement.name, statement.text)
            self._sent.append(statement.name)
        self._pgconn.send_query_prepared(statement.name, values, formats, result_format)
        self._sent.append(None)

    def sync(self) -> None:
        """Let the server begin with what was sent; what the socket does not take now goes with the next."""
        self._pgconn.pipeline_sync()
        self._ends.append(len(self._sent))
        self._pgconn.flush()

    def results(self) -> list[Any]:
        """Return the result of each statement. Raises: the psycopg error of the first that failed."""
        return self._checked(prepared.wait(self._connection, self._exchange()))

    async def results_in_loop(self) -> list[Any]:
        """Do the same in an event loop: its thread does other work until the server has answered.

        **Why** not in a thread: the way there and back costs more than a live round's work on this side.
        """
        with closing(self._exchange()) as exchange:
            while True:
                try:
                    wanted = next(exchange)
                except StopIteration as end:
                    return self._checked(end.value)
                await prepared.ready(self._pgconn.socket, wanted)

    def abandon(self, rollback: Statement) -> None:
        """Undo what was sent, whatever became of it, so that the connection can be used again."""
        with suppress(psycopg.Error):  # a connection that broke has undone it, and goes no further than its pool
            self.send(rollback)
            self.sync()
            self.results()

    def _exchange(self) -> Generator[int, None, list[Any]]:
        """Send the rest and receive; yield what to wait for on the socket.

        Left in the middle, it closes the connection: some of the answers are still to come, and nobody may take them
        for others.
        """
        pgconn = self._pgconn
        answers: list[Any] = []
        try:
            while self._ends:
                yield from prepared.arrival(pgconn)
                answer = pgconn.get_result()
                if answer is None:  # the end of one statement's
                    if pgconn.status == pq.ConnStatus.BAD:
                        raise psycopg.OperationalError("the connection broke while statements were on their way")
                elif answer.status == pq.ExecStatus.PIPELINE_SYNC:
                    del self._ends[0]
                elif len(answers) == self._ends[0]:  # every statement has its own: a constraint that is deferred
                    self._unmade = self._unmade or answer
                else:
                    answers.append(answer)
            pgconn.exit_pipeline_mode()
        except BaseException:
            self._connection.close()
            raise
        return answers

    def _checked(self, answers: list[Any]) -> list[Any]:
        results, failure = [], self._unmade
        for name, answer in zip(self._sent, answers, strict=True):
            if not succeeded(answer):
                failure = failure or answer
            elif name is None:
                results.append(answer)
            else:  # also after a failure: behind a sync the server goes on, and knows the statement from then on
                self._connection.prepared.add(name)
        if failure is not None:
            raise error_of(self._pgconn, failure)
        return results
