"""Consistency: the read model against a fresh fold of the event store, in one snapshot, event by event.

The journal is read up to where the snapshot stands and every event is evolved anew, so neither the stored
`state` nor a projection's own code vouches for itself: what an event moved is what `evolve` did to the balance.
Every column of every table is compared. A running projector does not disturb: the snapshot does not move.
"""
