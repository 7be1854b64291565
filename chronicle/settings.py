"""Every setting of the project. What differs between machines comes from the environment.

`$CHRONICLE_DATA/environment`, written by `make run`, supplies the URLs of a running embedded stack, so that
`manage.py` in a second terminal finds the same databases; the process's own environment comes first.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static

from chronicle.colors import PRIMARY_COLORS
from chronicle.databases import database, lower_cockroachdb_minimum
from chronicle.logging import configure as configure_logging

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

CHRONICLE_DATA = (BASE_DIR / env.str("CHRONICLE_DATA", ".chronicle")).resolve()
env.read_env(CHRONICLE_DATA / "environment")

DEBUG = env.bool("DEBUG", False)
# The launcher makes a random one per installation; a production start without one is refused by Django.
SECRET_KEY = env.str("SECRET_KEY", "insecure-only-for-commands-that-sign-nothing")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- databases ---------------------------------------------------------------------------------------
EVENT_STORE_ROLE = env.str("EVENT_STORE_ROLE", "chronicle_app")
EVENT_STORE_URL = env.str("EVENT_STORE_URL", "postgresql://localhost/event_store")
# Only `migrate` and `expire_keys` sign in with the owner's URL; everything else takes EVENT_STORE_ROLE.
EVENT_STORE_OWNER_URL = env.str("EVENT_STORE_OWNER_URL", EVENT_STORE_URL)
READ_MODEL_URL = env.str("READ_MODEL_URL", "postgresql://localhost/read_model")
DATABASE_URL = env.str("DATABASE_URL", "postgresql://localhost/portal")
NATS_URL = env.str("NATS_URL", "nats://127.0.0.1:4222")
NATS_REPLICAS = env.int("NATS_REPLICAS", 1)  # of the stream; 3 on a cluster of three

DATABASES = {
    "default": database(DATABASE_URL),
    "event_store": database(EVENT_STORE_URL, role=EVENT_STORE_ROLE),
    "read_model": database(READ_MODEL_URL),
}
EVENT_STORE_OWNER = database(EVENT_STORE_OWNER_URL)
DATABASE_ROUTERS = ["chronicle.routers.EventStoreRouter", "chronicle.routers.ReadModelRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DISABLE_COCKROACHDB_TELEMETRY = True
if minimum := env.str("CHRONICLE_COCKROACHDB_MINIMUM", ""):
    lower_cockroachdb_minimum(tuple(int(part) for part in minimum.split(".")))

# --- logging -----------------------------------------------------------------------------------------
# What a caller got wrong is the caller's answer, not an event of the server: no line, and no traceback.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.request": {"level": "ERROR"}, "django.security": {"level": "ERROR"}},
}
configure_logging()

# --- the ledger --------------------------------------------------------------------------------------
# Currencies beyond ISO 4217, as "CODE:decimals,CODE:decimals".
CHRONICLE_CURRENCIES = {
    code: int(decimals) for code, decimals in (pair.split(":") for pair in env.list("CHRONICLE_CURRENCIES", default=[]))
}

# For how long at least the same request under the same idempotency key gets the first answer; `expire_keys` removes
# older ones. More than a year, because what is imported once a year must not be carried out twice.
IDEMPOTENCY_KEY_DAYS = env.int("IDEMPOTENCY_KEY_DAYS", 400)

# The log's name in every signed tree head (https://c2sp.org/tlog-checkpoint); it must never change.
LOG_ORIGIN = env.str("LOG_ORIGIN", "chronicle-ledger.local/log")
# The private key that signs tree heads; without one, log_key.pem in CHRONICLE_DATA, made by the first relay.
LOG_SIGNING_KEY = env.str("LOG_SIGNING_KEY", "")

# --- apps --------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "chronicle.apps.DaphneConfig",
    "unfold.apps.BasicAppConfig",  # the look alone: the site itself is the portal's
    "unfold.contrib.filters",
    "auditor.admin_config.PortalAdminConfig",  # django.contrib.admin with the portal as its site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "chronicle",
    "ledger",
    "ledger.subjects",  # its keys are on the portal's alias, away from what they seal
    "projections",
    "auditor",
]
MIDDLEWARE = [
    # Django's, whitenoise's and django-csp's own, without a change of thread for each: see chronicle.middleware.
    "chronicle.middleware.Security",
    "chronicle.static_files.StaticFiles",
    "chronicle.middleware.ContentSecurityPolicy",
    "chronicle.middleware.Sessions",
    "chronicle.middleware.Common",
    "chronicle.middleware.Csrf",
    "chronicle.middleware.Authentication",
    "chronicle.middleware.Messages",
    "chronicle.middleware.FrameOptions",
    "chronicle.middleware.Unavailable",
    "auditor.access_log.log_api_reads",
]
# They look for Django's own names and do not see that ours are subclasses.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003"]
ROOT_URLCONF = "chronicle.urls"
ASGI_APPLICATION = "chronicle.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"  # of whoever opened the sign-in page itself
SESSION_ENGINE = "chronicle.sessions"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = "chronicle.formats"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are served from the packages that bring them, so a start needs no collectstatic and there is no STATIC_ROOT.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "chronicle.static_files.VersionedFiles"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 0  # of what is asked for without a version
WHITENOISE_AUTOREFRESH = DEBUG

# --- the API -----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    # The first names itself in WWW-Authenticate.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "ledger.api.authentication.TokenAuthentication",
        "ledger.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["ledger.api.authentication.MayRead"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "ledger.api.problems.handle",
    # How many proxies of ours stand in front; X-Forwarded-For is believed no further than that.
    "NUM_PROXIES": env.int("NUM_PROXIES", 0),
    # Guessing passwords: a person mistypes a few times, a program a thousand times.
    "DEFAULT_THROTTLE_RATES": {"sign_in_address": "60/min", "sign_in_name": "20/min"},
}
REST_KNOX = {"TOKEN_TTL": timedelta(hours=10), "AUTO_REFRESH": False}  # a working day
SPECTACULAR_SETTINGS = {
    "TITLE": "Chronicle Ledger",
    "DESCRIPTION": "An event-sourced ledger. Errors are RFC 9457 problems; their codes are listed at /api/errors.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["ledger.api.schema.without_slash_twins"],
    "DISABLE_ERRORS_AND_WARNINGS": False,
}

# --- the portal --------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": "Chronicle Ledger",
    "SITE_HEADER": "Chronicle Ledger",
    "SITE_SUBHEADER": "Every event, as it happened",
    "SITE_SYMBOL": "history_edu",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("ledger/icon.svg")}],
    "SITE_URL": None,  # there is no other site to go back to
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "auditor.dashboard.add_status",
    "STYLES": [lambda request: static("ledger/portal.css"), lambda request: static("ledger/tools.css")],
    "SIDEBAR": {"navigation": "auditor.navigation.sidebar"},
    "BORDER_RADIUS": "6px",
    "COLORS": {"primary": PRIMARY_COLORS},
}
# As strict as the portal's libraries allow. Alpine, which unfold is built on, evaluates its attributes with
# `new Function`, hence 'unsafe-eval'; unfold writes its colours into a <style> element and hides with style
# attributes, hence 'unsafe-inline' for styles. No script is inline, and nothing comes from another host.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
