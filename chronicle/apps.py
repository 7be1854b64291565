from django.apps import AppConfig


class ChronicleConfig(AppConfig):
    name = "chronicle"
    verbose_name = "Chronicle Ledger"

    def ready(self) -> None:
        from chronicle import checks  # noqa: F401  (registers the checks)
