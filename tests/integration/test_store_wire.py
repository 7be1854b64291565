"""What an append sends by hand arrives as what it was: the wire format held against a real server."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from ledger.errors import StoreUnavailable
from ledger.store import prepared, wire
from ledger.store.connection import connection, translated
from ledger.store.prepared import BINARY, Statement

ARRAYS = Statement(
    b"test_arrays",
    b"""SELECT id, text, json::jsonb, big, small, at, bytes
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::int4[], $6::timestamptz[], $7::bytea[])
          AS new (id, text, json, big, small, at, bytes)""",
)
SCALARS = Statement(b"test_scalars", b"SELECT $1::uuid, $2::text, $3::jsonb, $4::bigint, $5::timestamptz, $6::bytea")
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
_rows = st.tuples(
    st.uuids(), _texts, st.dictionaries(_texts, _texts | st.booleans() | st.none(), max_size=3),
    st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1), _instants, st.binary(max_size=40),
)  # fmt: skip

# The fixture only starts the server; nothing of one example is left for the next.
_server_is_shared = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_server_is_shared
@given(rows=st.lists(_rows, min_size=1, max_size=20))
def test_arrays_arrive_as_they_were_sent(database: None, rows: list[tuple[object, ...]]) -> None:
    ids, texts, jsons, bigs, smalls, instants, binaries = zip(*rows, strict=True)
    values = [
        wire.uuids(ids), wire.texts(texts), wire.jsons(jsons), wire.bigints(bigs), wire.integers(smalls),
        wire.instants(instants), wire.binaries(binaries),
    ]  # fmt: skip
    with connection() as conn:
        result = prepared.run(conn, ARRAYS, values, [BINARY] * len(values))
    assert [_row(result, number) for number in range(result.ntuples)] == rows


@_server_is_shared
@given(row=_rows)
def test_scalars_arrive_as_they_were_sent(database: None, row: tuple[object, ...]) -> None:
    id_, text, json, big, _, at, binary = row
    values = [wire.uuid(id_), text.encode(), wire.json(json), wire.integer(big), wire.instant(at), wire.binary(binary)]
    with connection() as conn:
        result = prepared.run(conn, SCALARS, values)
    found = [result.get_value(0, column) for column in range(6)]
    assert UUID(found[0].decode()) == id_
    assert found[1].decode() == text
    assert orjson.loads(found[2]) == json
    assert int(found[3]) == big
    assert wire.to_instant(found[4]) == at
    assert wire.to_bytes(found[5]) == binary


def test_an_error_of_the_server_is_the_driver_s_error_of_its_code(database: None) -> None:
    with connection() as conn:
        with pytest.raises(errors.DivisionByZero):
            prepared.run(conn, Statement(b"test_zero", b"SELECT 1 / $1::int"), [b"0"])
        assert prepared.run(conn, Statement(b"test_zero", b"SELECT 1 / $1::int"), [b"1"]).ntuples == 1


def test_a_connection_that_is_gone_is_an_outage(database: None) -> None:
    with connection() as conn:
        conn.pgconn.finish()
        with pytest.raises(StoreUnavailable), translated():
            prepared.run(conn, SCALARS, [])


def _row(result: object, number: int) -> tuple[object, ...]:
    id_, text, json, big, small, at, binary = (result.get_value(number, column) for column in range(7))
    return (UUID(id_.decode()), text.decode(), orjson.loads(json), int(big), int(small), wire.to_instant(at),
            wire.to_bytes(binary))  # fmt: skip
