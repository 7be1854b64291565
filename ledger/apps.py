from django.apps import AppConfig
from django.conf import settings


class LedgerConfig(AppConfig):
    name = "ledger"
    verbose_name = "Event store"

    def ready(self) -> None:
        from ledger.domain import currencies

        for code, decimals in settings.CHRONICLE_CURRENCIES.items():
            currencies.register(code, decimals)
