"""Every statement that reads or writes the event store's hot path, by name.

All of it is valid on CockroachDB and on PostgreSQL. Arrays go in, one per column, and are unnested: a batch
of any size is one statement of one shape, so it is planned once and costs one round trip. `%b` sends them in
binary: as text, psycopg escapes every element with a regular expression (ADR 2 has the figures). Arrays of 32 bits
are `int4[]`: CockroachDB takes `int[]` for `int8[]`, and an array that comes in binary for one of another type.
"""

import re
from functools import lru_cache
from hashlib import sha256
from itertools import count

from ledger.store.prepared import Statement

# The latest event of one aggregate, for the commonest command by far: no row when it does not exist.
READ_HEAD = Statement(
    b"read_head",
    b"""
SELECT clock_timestamp(), version, state, hash, recorded_at
FROM events WHERE aggregate_id = $1 ORDER BY version DESC LIMIT 1
""",
)

# One backward probe of the primary key for each aggregate; a row each, with nulls for one that does not exist.
READ_HEADS = """
SELECT clock_timestamp(), wanted.id, e.version, e.state, e.hash, e.recorded_at
FROM unnest(%b::text[]) AS wanted(id)
LEFT JOIN LATERAL (
    SELECT version, state, hash, recorded_at FROM events WHERE aggregate_id = wanted.id ORDER BY version DESC LIMIT 1
) AS e ON true
"""

EVENT_COLUMNS = """e.event_id, e.aggregate_type, e.aggregate_id, e.version, e.event_type, e.schema_version,
    e.data, e.metadata, e.state, e.recorded_at, e.effective_at, e.previous_hash, e.hash"""

READ_EVENTS_BY_ID = f"SELECT {EVENT_COLUMNS} FROM events AS e WHERE e.event_id = ANY(%b)"

READ_STATE_AT = f"""
SELECT {EVENT_COLUMNS} FROM events AS e
WHERE e.aggregate_id = %s AND e.recorded_at <= %s ORDER BY e.recorded_at DESC, e.version DESC LIMIT 1
"""

READ_HEAD_VERSION = "SELECT version FROM events WHERE aggregate_id = %s ORDER BY version DESC LIMIT 1"

READ_KEYS = "SELECT key, request_hash, outcome FROM idempotency_keys WHERE key = ANY(%b)"

# An append is one statement made of the parts it needs, and so one implicit transaction: it commits whole or
# not at all, in one round trip, and CockroachDB may retry it on the server.
INSERT_EVENTS = """
INSERT INTO events (event_id, aggregate_type, aggregate_id, version, event_type, schema_version,
                    data, metadata, state, recorded_at, effective_at, previous_hash, hash)
SELECT event_id, aggregate_type, aggregate_id, version, event_type, schema_version,
       data::jsonb, metadata::jsonb, state::jsonb, recorded_at, effective_at, previous_hash, hash
FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::int4[],
            %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::bytea[], %b::bytea[])
  AS new (event_id, aggregate_type, aggregate_id, version, event_type, schema_version,
          data, metadata, state, recorded_at, effective_at, previous_hash, hash)
RETURNING 1
"""

# Past the deadline recorded_at becomes null, which the table refuses, so the server itself rolls back what
# would commit too late to keep earlier answers final. WRITTEN: the clock is asked when all else is written, because
# writing the events is what takes long, or waits for another writer.
WRITTEN = "/* all other parts */"
INSERT_OUTBOX = f"""
INSERT INTO outbox (command_id, recorded_at, events)
SELECT command_id, CASE WHEN clock_timestamp() <= %b::timestamptz THEN recorded_at END, events::jsonb
FROM unnest(%b::uuid[], %b::timestamptz[], %b::text[]) AS new (command_id, recorded_at, events), {WRITTEN}
RETURNING 1
"""
# The same on heads that were remembered, not read: a null that the table refuses, unless the store holds them all.
# The lateral probe keeps a plan that was made for a small table from reading all of a large one.
INSERT_OUTBOX_ON_HEADS = f"""
INSERT INTO outbox (command_id, recorded_at, events)
SELECT command_id, CASE WHEN clock_timestamp() <= %b::timestamptz THEN recorded_at END,
    CASE WHEN (
        SELECT count(e.version) FROM unnest(%b::text[], %b::bigint[], %b::bytea[]) AS head (aggregate_id, version, hash)
        LEFT JOIN LATERAL (
            SELECT version FROM events
            WHERE aggregate_id = head.aggregate_id AND version = head.version AND hash = head.hash LIMIT 1
        ) AS e ON true
    ) = %b::bigint THEN events::jsonb END
FROM unnest(%b::uuid[], %b::timestamptz[], %b::text[]) AS new (command_id, recorded_at, events), {WRITTEN}
RETURNING 1
"""

INSERT_KEYS = """
INSERT INTO idempotency_keys (key, request_hash, outcome, recorded_at)
SELECT key, request_hash, outcome::jsonb, clock_timestamp()
FROM unnest(%b::text[], %b::bytea[], %b::text[]) AS new (key, request_hash, outcome)
RETURNING 1
"""

INSERT_REFUSALS = """
INSERT INTO refusals (refusal_id, command_id, command_type, command, actor, code, detail, recorded_at)
SELECT refusal_id, command_id, command_type, command::jsonb, actor, code, detail, clock_timestamp()
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[])
  AS new (refusal_id, command_id, command_type, command, actor, code, detail)
ON CONFLICT (refusal_id) DO NOTHING
RETURNING 1
"""

# A lone command is a few rows: as scalars they cost the driver and the server half of what arrays cost (ADR 2).
ONE_ROW = "/* one row */"
INSERT_FEW_EVENTS = """
INSERT INTO events (event_id, aggregate_type, aggregate_id, version, event_type, schema_version,
                    data, metadata, state, recorded_at, effective_at, previous_hash, hash)
VALUES {rows}
RETURNING 1 {how_many}
"""
FEW_EVENTS_ROW = (
    "(%b::uuid, %b, %b, %b::bigint, %b, %b::int, %b::jsonb, %b::jsonb, %b::jsonb, "
    "%b::timestamptz, %b::timestamptz, %b::bytea, %b::bytea)"
)
INSERT_ONE_OUTBOX = f"""
INSERT INTO outbox (command_id, recorded_at, events)
SELECT %b::uuid, CASE WHEN clock_timestamp() <= %b::timestamptz THEN %b::timestamptz END, {{events}}
FROM {WRITTEN}
RETURNING 1
"""
HEAD_IS_THERE = "EXISTS (SELECT 1 FROM events WHERE aggregate_id = %b AND version = %b::bigint AND hash = %b::bytea)"
INSERT_ONE_KEY = f"""
INSERT INTO idempotency_keys (key, request_hash, outcome, recorded_at)
SELECT %b::text, %b::bytea, %b::jsonb, clock_timestamp()
RETURNING 1 {ONE_ROW}
"""


@lru_cache(maxsize=8)
def insert_few_events(count: int) -> str:
    return INSERT_FEW_EVENTS.format(rows=", ".join([FEW_EVENTS_ROW] * count), how_many=ONE_ROW if count == 1 else "")


@lru_cache(maxsize=8)
def insert_one_outbox(heads: int) -> str:
    """Return the INSERT of one outbox row, on as many remembered heads."""
    events = "%b::jsonb"
    if heads:
        events = f"CASE WHEN {' AND '.join([HEAD_IS_THERE] * heads)} THEN {events} END"
    return INSERT_ONE_OUTBOX.format(events=events)


@lru_cache(maxsize=256)
def all_of(*inserts: str) -> Statement:
    """Return one statement that carries out all the inserts, their parameters numbered through, then tells the time.

    **Why** the last reads the others, where it asks the clock: PostgreSQL carries out parts that nobody reads in an
    order of its own, the last first. It is then the statement itself, which is cheaper than one part more.
    """
    number = count(1)
    numbered = [re.sub("%b", lambda _: f"${next(number)}", insert) for insert in inserts]
    *others, last = sorted(numbered, key=_waits_for_others)
    if not _waits_for_others(last):
        others, last = [*others, last], NOW
    written = ", ".join(_to_read(index, insert) for index, insert in enumerate(others))
    parts = ", ".join(f"part_{index} AS ({insert})" for index, insert in enumerate(others))
    last = last.replace(WRITTEN, written).replace("RETURNING 1", "RETURNING clock_timestamp()")
    text = f"WITH {parts} {last}".encode()
    return Statement(b"append_" + sha256(text).hexdigest()[:16].encode(), text)


def _waits_for_others(insert: str) -> bool:
    return WRITTEN in insert


def _to_read(index: int, insert: str) -> str:
    # What gives one row is read as it is: to count it costs the server 5 to 10 µs.
    return f"part_{index}" if ONE_ROW in insert else f"(SELECT count(*) FROM part_{index}) AS written_{index}"


NOW = "SELECT clock_timestamp()"
# The last word before the COMMIT of a transaction in pieces: it divides by zero, and so undoes it, past the deadline.
NOW_UNLESS_LATE = Statement(
    b"now_unless_late",
    b"SELECT clock_timestamp(), 1 / CASE WHEN clock_timestamp() <= $1::timestamptz THEN 1 ELSE 0 END",
)

# Taking is deleting: of two relays one gets the row, the other waits and then finds it gone.
TAKE_OUTBOX = """
DELETE FROM outbox
WHERE command_id = ANY (ARRAY(SELECT command_id FROM outbox ORDER BY recorded_at, command_id LIMIT %s))
RETURNING command_id, recorded_at, events
"""

ANY_IN_OUTBOX = "SELECT command_id FROM outbox ORDER BY recorded_at, command_id LIMIT 1"

JOURNAL_HEAD = "SELECT position, running_hash FROM journal ORDER BY position DESC LIMIT 1"

INSERT_JOURNAL = """
INSERT INTO journal (position, event_id, aggregate_id, version, event_type, command_id, command_index, command_size,
                     event_hash, running_hash, is_late, sequenced_at)
SELECT position, event_id::uuid, aggregate_id, version, event_type, command_id, command_index, command_size,
       event_hash, running_hash, is_late, clock_timestamp()
FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::uuid[], %b::int4[], %b::int4[],
            %b::bytea[], %b::bytea[], %b::bool[])
  AS new (position, event_id, aggregate_id, version, event_type, command_id, command_index, command_size,
          event_hash, running_hash, is_late)
"""

# The journal's own columns after the event's: a row is a sequenced event.
_SEQUENCED = f"""
SELECT {EVENT_COLUMNS}, j.position, j.command_id, j.command_index, j.command_size, j.running_hash
FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
"""
READ_JOURNAL = f"{_SEQUENCED} WHERE j.position > %s AND j.position <= %s ORDER BY j.position"
READ_EVENTS_BY_KEY = f"""
SELECT {EVENT_COLUMNS} FROM unnest(%b::text[], %b::bigint[]) AS wanted (aggregate_id, version)
JOIN events AS e ON e.aggregate_id = wanted.aggregate_id AND e.version = wanted.version
"""

# --- history: what people read -----------------------------------------------------------------------
# Within an aggregate versions rise with positions, so each list is read along an index that ends in its order.
READ_SEQUENCED = f"{_SEQUENCED} WHERE j.position > %(after)s ORDER BY j.position LIMIT %(limit)s"
READ_SEQUENCED_OF_TYPE = (
    f"{_SEQUENCED} WHERE j.position > %(after)s AND j.event_type = %(event_type)s ORDER BY j.position LIMIT %(limit)s"
)
READ_SEQUENCED_OF_AGGREGATE = f"""
{_SEQUENCED} WHERE j.position > %(after)s AND j.aggregate_id = %(aggregate_id)s
    AND (%(event_type)s::text IS NULL OR j.event_type = %(event_type)s) ORDER BY j.version LIMIT %(limit)s
"""
COUNT_OF_TYPE = "SELECT count(*) FROM journal WHERE event_type = %(event_type)s"
COUNT_OF_AGGREGATE = """SELECT count(*) FROM journal WHERE aggregate_id = %(aggregate_id)s
AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)"""
COUNT_ALL = "SELECT coalesce(max(position), 0) FROM journal"  # gapless from 1: the head is the count
COUNT_LATE = "SELECT count(*) FROM journal WHERE is_late"
READ_EVENT = f"""
SELECT {EVENT_COLUMNS}, j.position, j.running_hash
FROM events AS e LEFT JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
WHERE e.event_id = %s
"""
BACKLOG = (
    "SELECT clock_timestamp(), (SELECT coalesce(max(position), 0) FROM journal), count(*), min(recorded_at) FROM outbox"
)

# --- idempotency keys past their promise: the owner's statements ------------------------------------------
PAGE_OF_KEYS = (
    "SELECT count(*), max(key) FROM (SELECT key FROM idempotency_keys WHERE key > %s ORDER BY key LIMIT %s) AS page"
)
REMOVE_KEYS = "DELETE FROM idempotency_keys WHERE key > %s AND key <= %s AND recorded_at < %s"
# A page of the transfers in steps that were started, with the latest event of each: version 1 is one that has not
# ended. The journal is asked, not the heads, so that a page continues where the last one stopped.
READ_STARTED_TRANSFERS = """
SELECT started.position, head.version, head.event_id, head.data
FROM (SELECT position, aggregate_id FROM journal WHERE event_type = 'TransferStarted' AND position > %s
      ORDER BY position LIMIT %s) AS started
CROSS JOIN LATERAL (
    SELECT version, event_id, data FROM events WHERE aggregate_id = started.aggregate_id ORDER BY version DESC LIMIT 1
) AS head ORDER BY started.position
"""

# What narrows a list of refusals. A command names its accounts in its fields or in its legs: `refusals.Filters`.
REFUSED_WHERE = {
    "actor": "actor = %(actor)s",
    "code": "code = %(code)s",
    "account_id": "(" + " OR ".join(f"command @> %(named_{number})s::jsonb" for number in range(5)) + ")",
}
REFUSED_BEFORE = "(recorded_at, refusal_id) < (%(before_at)s, %(before_id)s)"
REFUSED_AT = "SELECT recorded_at FROM refusals WHERE refusal_id = %s"


@lru_cache(maxsize=16)
def read_refusals(*conditions: str) -> str:
    return f"""
SELECT refusal_id, command_id, command_type, command, actor, code, detail, recorded_at FROM refusals
WHERE {" AND ".join(conditions) or "true"} ORDER BY recorded_at DESC, refusal_id DESC LIMIT %(limit)s
"""


@lru_cache(maxsize=8)
def count_refusals(*conditions: str) -> str:
    return f"SELECT count(*) FROM refusals WHERE {' AND '.join(conditions) or 'true'}"


# --- the log: tiles and tree heads ---------------------------------------------------------------------
# One row for each tile's worth of positions, its leaf hashes joined; `>> 8` is the tile's index.
READ_LEAVES = """
SELECT (position - 1) >> 8, count(*), string_agg(event_hash, ''::bytea ORDER BY position)
FROM journal WHERE position > %s AND position <= %s GROUP BY 1 ORDER BY 1
"""
READ_TILE = "SELECT hashes FROM tiles WHERE level = %s AND tile_index = %s"
READ_TILE_ROOTS = "SELECT root FROM tiles WHERE level = %s AND tile_index >= %s AND tile_index < %s ORDER BY tile_index"
LAST_TILE = "SELECT tile_index FROM tiles WHERE level = 0 ORDER BY tile_index DESC LIMIT 1"
INSERT_TILES = """
INSERT INTO tiles (level, tile_index, hashes, root)
SELECT level, tile_index, hashes, root FROM unnest(%b::int4[], %b::bigint[], %b::bytea[], %b::bytea[])
  AS new (level, tile_index, hashes, root)
"""
INSERT_TREE_HEAD = "INSERT INTO tree_heads (tree_size, note, signed_at) VALUES (%s, %s, clock_timestamp())"
LAST_TREE_HEAD = "SELECT tree_size, note, signed_at FROM tree_heads ORDER BY tree_size DESC LIMIT 1"
READ_TREE_HEAD = "SELECT tree_size, note, signed_at FROM tree_heads WHERE tree_size = %s"
READ_TREE_HEADS = (
    "SELECT tree_size, note, signed_at FROM tree_heads WHERE tree_size > %s AND tree_size <= %s ORDER BY tree_size"
)
READ_OF_AGGREGATE = """
SELECT j.position, e.data FROM journal AS j
JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.aggregate_id = %s ORDER BY j.version"""
POSITION_OF_EVENT = """SELECT j.position FROM events AS e
JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version WHERE e.event_id = %s"""
