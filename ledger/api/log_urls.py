"""What lies under /log/: paths as https://c2sp.org/tlog-tiles spells them, and nothing that it does not."""

from django.urls import re_path

from ledger.api import log, log_proofs

# Decimal without leading zeroes; partial tiles are 1 to 255 wide.
LEVEL = r"(?P<level>0|[1-9][0-9]?)"
INDEX = r"(?P<path>[x0-9/]+)"
PARTIAL = r"(?:\.p/(?P<width>25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]?))?"
SIZE = r"(?P<tree_size>[1-9][0-9]{0,18})"

app_name = "log"
urlpatterns = [
    re_path(r"^checkpoint$", log.checkpoint, name="checkpoint"),
    re_path(rf"^checkpoint/{SIZE}$", log.checkpoint, name="checkpoint-at-size"),
    re_path(r"^key$", log.key, name="key"),
    re_path(r"^keys$", log.keys, name="keys"),
    re_path(rf"^tile/{LEVEL}/{INDEX}{PARTIAL}$", log.hash_tile, name="tile"),
    re_path(rf"^tile/entries/{INDEX}{PARTIAL}$", log.EntryBundle.as_view(), name="entries"),
    re_path(r"^consistency$", log_proofs.Consistency.as_view(), name="consistency"),
]
