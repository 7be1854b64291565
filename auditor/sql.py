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

SEQUENCED_AT = "SELECT sequenced_at FROM journal WHERE position = %s"

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
