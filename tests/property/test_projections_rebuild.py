"""Live-built equals rebuilt: for random histories, in random batches, for every projection."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.domain.commands import Command, CreateAccount, Deposit, EraseSubject, PlaceHold, Transfer, Withdraw
from ledger.engine.erasure import account_of
from ledger.subjects import keys
from projections import rebuild, turn
from projections.connection import read_model_connection
from projections.lag import LagWindow
from projections.projection import registry
from projections.turn import Turn
from tests.clean import empty_everything
from tests.read_world import assert_read_model_is_right, order_everything, submit
from tests.servers import Servers

IDS = [f"acc-{number}" for number in range(5)]
amounts = st.integers(1, 500).map(Decimal)
texts = st.sampled_from(["", "rent", "salary März", "invoice 7", "%_'\\"])
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(CreateAccount, st.sampled_from(IDS), st.sampled_from(["Ann", "Bob Ö."]),
              st.sampled_from(["USD", "JPY", "BHD"]), st.integers(0, 1000).map(Decimal)),
    st.builds(Deposit, st.sampled_from(IDS), amounts, texts),
    st.builds(Withdraw, st.sampled_from(IDS), amounts, texts),
    st.builds(EraseSubject, st.sampled_from(IDS), st.just("on request")),
    st.builds(PlaceHold, st.sampled_from(IDS), amounts, texts),
    st.builds(Transfer, st.sampled_from(IDS), st.sampled_from(IDS), amounts, texts),
)  # fmt: skip


# Not shrunk: an example takes a second, and shrinking takes hundreds.
@settings(
    max_examples=10,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(history=st.lists(st.lists(commands, min_size=1, max_size=12), min_size=1, max_size=5), batch=st.integers(1, 9),
       are_keys_destroyed=st.booleans())  # fmt: skip
def test_every_projection_built_live_equals_the_same_one_rebuilt(
    clean_stores: None, stack: Servers, history: list[list[Command]], batch: int, are_keys_destroyed: bool
) -> None:
    empty_everything(stack)
    with pytest.MonkeyPatch.context() as patch, read_model_connection() as connection:
        patch.setattr(turn, "BATCH_MAX", batch)
        live = Turn(connection, registry(), LagWindow(), lambda: False)
        submit(*(CreateAccount(id_, "Owner", "USD", Decimal(300)) for id_ in IDS[:3]))
        for some in history:
            submit(*some)
            order_everything()
            live.catch_up()
    assert_read_model_is_right()
    if are_keys_destroyed:  # what was opened live can then not be opened any more, and must not be there
        for account_id in IDS:
            if keys.keys_of(account_id):
                keys.destroy(account_id, account_of(account_id).erasures)
    with read_model_connection() as connection:
        for projection in registry():
            rebuild.build(connection, projection, lambda *_: None)
            switched = rebuild.switch(connection, projection, require_equal=True)
            assert [str(difference) for difference in switched.differences if difference] == []
            rebuild.drop_previous(connection, projection)
    assert_read_model_is_right()
