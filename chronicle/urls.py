from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("ledger.api.proof_urls")),
    path("log/", include("ledger.api.log_urls")),
]
