"""Live-built equals rebuilt: for random histories of every kind of command, in random batches, for every projection."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.domain.commands import CreateAccount
from ledger.engine.erasure import account_of
from ledger.subjects import keys
from projections import rebuild, turn
from projections.connection import read_model_connection
from projections.consistency.run import check
from projections.lag import LagWindow
from projections.projection import registry
from projections.turn import Turn
from tests.clean import empty_everything
from tests.every_command import RandomCommands
from tests.read_world import assert_read_model_is_right, order_everything, submit
from tests.servers import Servers

IDS = [f"acc-{number}" for number in range(5)]
currencies = st.lists(st.sampled_from(["USD", "USD", "USD", "JPY", "BHD"]), min_size=len(IDS), max_size=len(IDS))


# Not shrunk: an example takes a second, and shrinking takes hundreds.
@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    choose=st.randoms(use_true_random=False),
    opened_in=currencies,
    sizes=st.lists(st.integers(1, 15), min_size=1, max_size=5),
    batch=st.integers(1, 9),
    are_keys_destroyed=st.booleans(),
)
def test_every_projection_built_live_equals_the_same_one_rebuilt(
    clean_stores: None,
    stack: Servers,
    choose: random.Random,
    opened_in: list[str],
    sizes: list[int],
    batch: int,
    are_keys_destroyed: bool,
) -> None:
    empty_everything(stack)
    commands = RandomCommands(IDS, choose)
    with pytest.MonkeyPatch.context() as patch, read_model_connection() as connection:
        patch.setattr(turn, "BATCH_MAX", batch)
        live = Turn(connection, registry(), LagWindow(), lambda: False)
        submit(*(CreateAccount(id_, "Bob Ö.", code, Decimal(300)) for id_, code in zip(IDS, opened_in, strict=True)))
        for size in sizes:
            commands.execute(size)
            order_everything()
            live.catch_up()
    assert_read_model_is_right()
    assert [str(finding) for finding in check(lambda *_: None)] == []
    if are_keys_destroyed:  # what was opened live can then not be opened any more, and must not be there
        for account_id in IDS:
            if keys.keys_of(account_id):
                keys.destroy(account_id, account_of(account_id).erasures)
        assert [str(finding) for finding in check(lambda *_: None)] == []
    with read_model_connection() as connection:
        for projection in registry():
            rebuild.build(connection, projection, lambda *_: None)
            switched = rebuild.switch(connection, projection, require_equal=True)
            assert [str(difference) for difference in switched.differences if difference] == []
            rebuild.drop_previous(connection, projection)
    assert_read_model_is_right()
