"""What can be wrong with a request before it is a command: one class for each, in the order they are checked.

They hang on the same tree as the domain's errors, so that one place (`problems`) turns every failure into an
answer. docs/errors.md lists all of them.
"""

from __future__ import annotations

from ledger.domain.errors import LedgerError, Malformed, Unknown


class NotSignedIn(LedgerError):
    """Neither a token nor a session."""

    code = "not_signed_in"
    status = 401


class InvalidToken(LedgerError):
    """The token is unknown, revoked or expired."""

    code = "invalid_token"
    status = 401


class InvalidCredentials(LedgerError):
    """Username and password do not belong together."""

    code = "invalid_credentials"
    status = 401


class CsrfFailed(LedgerError):
    """A session needs the CSRF token with everything that changes something."""

    code = "csrf_failed"
    status = 403


class Forbidden(LedgerError):
    """The caller's roles do not allow this."""

    code = "forbidden"
    status = 403


class NotFound(Unknown):
    """No such address."""


class MethodNotAllowed(LedgerError):
    code = "method_not_allowed"
    status = 405


class NotAcceptable(LedgerError):
    code = "not_acceptable"
    status = 406


class BodyTooLarge(LedgerError):
    code = "body_too_large"
    status = 413


class UnsupportedMediaType(LedgerError):
    code = "unsupported_media_type"
    status = 415


class TooManyRequests(LedgerError):
    code = "too_many_requests"
    status = 429
    retryable = True


class InvalidJson(Malformed):
    """The body is not JSON by RFC 8259: NaN and Infinity are not."""

    code = "invalid_json"


class DuplicateKey(Malformed):
    """An object names a key twice: which one is meant?"""

    code = "duplicate_key"


class BodyNotObject(Malformed):
    code = "body_not_object"


class InvalidLine(Malformed):
    """A line of an imported file that is no row of its header. Never answered over HTTP."""

    code = "invalid_line"


class InvalidIdempotencyKey(Malformed):
    code = "invalid_idempotency_key"


class UnknownField(Malformed):
    """Most likely a misspelling of a field that would silently have been left out."""

    code = "unknown_field"


class MissingField(Malformed):
    code = "missing_field"


class InvalidCharacters(Malformed):
    """Text with control characters, lone surrogates or direction overrides."""

    code = "invalid_characters"


class TextTooLong(Malformed):
    code = "text_too_long"


class InvalidInstant(Malformed):
    """Not an RFC 3339 instant with an offset."""

    code = "invalid_instant"


class InvalidParameter(Malformed):
    """A query parameter is missing or not of its form."""

    code = "invalid_parameter"


class DatabaseUnavailable(LedgerError):
    """The portal's database or the read model's does not answer: nobody can sign in, or there is nothing to read."""

    code = "database_unavailable"
    status = 503
    retryable = True
