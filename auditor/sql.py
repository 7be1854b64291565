"""Every statement of the portal's own that is not Django's, by name. Valid on CockroachDB and on PostgreSQL.

Each starts from an index and reads a bounded number of rows, but for BOOKS, which `auditor.books` asks seldom.
"""

RATE = """
SELECT count(*), min(sequenced_at), clock_timestamp()
FROM (SELECT sequenced_at FROM journal ORDER BY position DESC LIMIT %s) AS newest
WHERE sequenced_at > clock_timestamp() - %s * interval '1 second'
"""

COUNTS_BY_AGE = """
SELECT floor(extract(epoch FROM clock_timestamp() - sequenced_at))::int AS age_s, count(*)
FROM (SELECT sequenced_at FROM journal ORDER BY position DESC LIMIT %s) AS newest
WHERE sequenced_at > clock_timestamp() - %s * interval '1 second' GROUP BY 1
"""

# On the read model: three sums that were each made their own way, in one statement and so in one snapshot. They
# can be set against each other only where both projections have applied the same events.
BOOKS = """
SELECT currency, accounts, balance_minor, accounts_minor, external_minor,
    (SELECT count(DISTINCT position) FROM checkpoints WHERE projection IN ('accounts', 'trial_balance')) = 1
FROM trial_balance FULL JOIN (
    SELECT currency, count(*) AS accounts, sum(balance_minor) AS balance_minor FROM accounts GROUP BY currency
) AS balances USING (currency)
ORDER BY currency
"""

# Where the newest events of a type or an account begin. An account's versions rise with its positions, so its
# index gives position order; ordering by position would tempt a planner to walk the whole journal instead.
NEWEST_OF_TYPE = """
SELECT position FROM journal WHERE event_type = %(event_type)s ORDER BY position DESC LIMIT 1 OFFSET %(skipped)s
"""
NEWEST_OF_AGGREGATE = """
SELECT position FROM journal
WHERE aggregate_id = %(aggregate_id)s AND %(event_type)s::text IN ('', event_type)
ORDER BY version DESC LIMIT 1 OFFSET %(skipped)s
"""

# Among somebody's newest looks only: others may have looked at the same thing a million times, and so may they.
LOOKS_GOING_ON = """
SELECT kind, subject_id FROM (
    SELECT kind, subject_id, at FROM access_log WHERE user_id = %(user_id)s ORDER BY id DESC LIMIT %(newest)s
) AS own WHERE at > %(since)s AND subject_id = ANY(%(ids)s)
"""

# An account's balance over time: every event of a short history, and probes of a long one.
BALANCES_BY_VERSION = """
SELECT recorded_at, (state->>'balance_minor')::bigint, version
FROM events WHERE aggregate_id = %(account_id)s ORDER BY version LIMIT %(limit)s
"""
BALANCES_AT = """
SELECT wanted.at, (e.state->>'balance_minor')::bigint, e.version
FROM unnest(%(instants)s::timestamptz[]) AS wanted(at)
CROSS JOIN LATERAL (
    SELECT state, version FROM events WHERE aggregate_id = %(account_id)s AND recorded_at <= wanted.at
    ORDER BY recorded_at DESC, version DESC LIMIT 1
) AS e ORDER BY wanted.at
"""

# Events by their ids, each with its place in the journal, if it has one yet.
EVENTS_WITH_PLACES = """
SELECT e.event_id, e.aggregate_type, e.aggregate_id, e.version, e.event_type, e.data, e.state, e.metadata,
       e.recorded_at, j.position, j.sequenced_at
FROM events AS e LEFT JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
WHERE e.event_id = ANY(%(event_ids)s::uuid[])
"""

# Reversals by their own events: a range of one type, so that a planner walks the index of types and not the journal.
# A command's events stand side by side, the reversal's own the last of them.
REVERSALS = """
SELECT j.position, j.position - j.command_index, e.event_id, e.aggregate_id, e.data, e.metadata, e.recorded_at
FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.event_type >= %(event_type)s AND j.event_type <= %(event_type)s AND j.position < %(before)s
ORDER BY j.event_type DESC, j.position DESC LIMIT %(limit)s
"""
REVERSED_ACCOUNTS = """
SELECT DISTINCT own.last, j.aggregate_id
FROM unnest(%(firsts)s::bigint[], %(lasts)s::bigint[]) AS own(first, last)
JOIN journal AS j ON j.position >= own.first AND j.position < own.last
ORDER BY 1, 2
"""

# For each account the places of its first event from an instant on and of its last one up to another. Within an account
# what was recorded later stands later, so what lies between them is what it did in that time.
PLACES_IN_PERIOD = """
SELECT owned.id, earliest.position, latest.position
FROM unnest(%(account_ids)s::text[]) AS owned(id)
CROSS JOIN LATERAL (
    SELECT j.position FROM events AS e JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
    WHERE e.aggregate_id = owned.id AND e.recorded_at >= %(since)s
    ORDER BY e.recorded_at, e.version LIMIT 1
) AS earliest
CROSS JOIN LATERAL (
    SELECT j.position FROM events AS e JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
    WHERE e.aggregate_id = owned.id AND e.recorded_at < %(until)s
    ORDER BY e.recorded_at DESC, e.version DESC LIMIT 1
) AS latest
"""
# On the read model: the newest lines of several accounts together, each account's through the index that leads to it.
LINES_OF_ACCOUNTS = """
SELECT lines.* FROM unnest(%(account_ids)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[]) AS owned(id, first, last)
CROSS JOIN LATERAL (
    SELECT position, account_id, kind, counter_account, description, amount_minor, balance_minor, currency, recorded_at,
           event_id, transfer_id, version
    FROM transactions
    WHERE account_id = owned.id AND position BETWEEN owned.first AND least(owned.last, %(before)s - 1)
    ORDER BY position DESC LIMIT %(limit)s
) AS lines ORDER BY position DESC LIMIT %(limit)s
"""
