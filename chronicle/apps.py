from django.apps import AppConfig


class DaphneConfig(AppConfig):
    """daphne, for its `runserver`, which loads what it needs.

    daphne's own configuration loads the web server into whatever Django starts, a sixth of a command's start.
    """

    name = "daphne"
    verbose_name = "Daphne"


class ChronicleConfig(AppConfig):
    default = True
    name = "chronicle"
    verbose_name = "Chronicle Ledger"

    def ready(self) -> None:
        from chronicle import checks  # noqa: F401  (registers the checks)
