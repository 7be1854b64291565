"""The event store as a Django app: currencies are registered when it is ready."""

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created


class LedgerConfig(AppConfig):
    name = "ledger"
    verbose_name = "Event store"

    def ready(self) -> None:
        from ledger import checks  # noqa: F401  (registers the checks)
        from ledger.bus.nudge import nudge
        from ledger.domain import currencies
        from ledger.engine import batching
        from ledger.store import orm

        for code, decimals in settings.CHRONICLE_CURRENCIES.items():
            currencies.register(code, decimals)
        connection_created.connect(orm.look_after)
        # The engine does not know the bus; here the two meet.
        batching.call_after_commit(nudge)
