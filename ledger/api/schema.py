"""What the OpenAPI document says of answers, errors and sign-ins; nothing here runs when a request is served, but a
handler is held to the query parameters that are described here (`parameters.check_known`).

The forms of requests describe themselves (`fields`); these serializers describe what is answered, and the
tests hold the running API against the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers as s

from ledger.api.parameters import known
from ledger.api.problems import MEDIA_TYPE
from ledger.api.submissions import FORMS

_MEANINGS = {
    400: "Malformed: it could never be right",
    401: "Not signed in",
    403: "The roles do not allow it",
    404: "There is no such thing",
    409: "Decided on another state",
    413: "The body is too large",
    415: "Not application/json",
    422: "Refused by a rule of the books; recorded",
    429: "Too many requests",
    503: "Not now; the same request may succeed later",
}
COMMAND_STATUSES = (400, 401, 403, 404, 409, 413, 415, 422, 503)


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    target_class = "ledger.api.authentication.TokenAuthentication"
    name = "token"


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "ledger.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class Problem(s.Serializer[Any]):
    """RFC 9457. `code` is stable; a code's own fields come beside these (docs/errors.md)."""

    type = s.CharField()
    title = s.CharField()
    status = s.IntegerField()
    detail = s.CharField()
    code = s.CharField()
    error = s.CharField(help_text="one sentence for a person")


def problems(*statuses: int) -> dict[Any, OpenApiResponse]:
    """Return the responses of an operation for these statuses."""
    return {(status, MEDIA_TYPE): OpenApiResponse(Problem, description=_MEANINGS[status]) for status in statuses}


def read(operation_id: str, answer: Any, *statuses: int, tag: str, parameters: Any = ()) -> Callable[..., Any]:
    """Describe a query, which is held to the parameters that are described."""
    responses = {200: answer, **problems(400, 401, 403, 503, *statuses)}
    described = extend_schema(operation_id=operation_id, responses=responses, parameters=[*parameters], tags=[tag])
    return _held_to(parameters, described)


def command(command_type: str) -> Callable[..., Any]:
    """Describe a command."""
    parameters = [_IDEMPOTENCY_KEY, _DRY_RUN]
    described = extend_schema(
        operation_id=command_type.replace("-", "_"),
        request=_request(command_type),
        responses={
            201: CommandAnswer,
            200: OpenApiResponse(CommandAnswer, description="Tried, and nothing was written"),
            **problems(*COMMAND_STATUSES),
        },
        parameters=parameters,
        tags=["commands"],
    )
    return _held_to(parameters, described)


def _held_to(parameters: Iterable[OpenApiParameter], described: Callable[..., Any]) -> Callable[..., Any]:
    hold = known(*(p.name for p in parameters if p.location == OpenApiParameter.QUERY))
    return lambda handler: hold(described(handler))


def _request(command_type: str) -> type[s.Serializer[Any]]:
    """Return the form of a command sent alone: in a batch, `dry_run` is the batch's."""
    form = type(FORMS[command_type].serializer)
    dry_run = s.BooleanField(required=False, help_text="the same outcome, nothing written; false when absent")
    return type(form.__name__, (form,), {"dry_run": dry_run, "__doc__": form.__doc__})


_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="The same key with the same request gets the first answer again, and nothing happens twice.",
)

BATCH_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,250}$"},
    OpenApiParameter.HEADER,
    description="For the commands that bring no `idempotency_key`: theirs is this key, `/`, and their index from 0.",
)


_DRY_RUN = OpenApiParameter(
    "dry_run",
    {"type": "string", "enum": ["1", "true", "0", "false"]},
    OpenApiParameter.QUERY,
    description="The same as `dry_run` in the body.",
)


class WrittenEvent(s.Serializer[Any]):
    event_id = s.UUIDField()
    type = s.CharField()
    aggregate_id = s.CharField()
    version = s.IntegerField()


class Balance(s.Serializer[Any]):
    balance = s.CharField()
    held = s.CharField()
    currency = s.CharField()
    status = s.CharField()
    version = s.IntegerField()


class CommandAnswer(s.Serializer[Any]):
    success = s.BooleanField()
    command_id = s.UUIDField()
    event_id = s.UUIDField(help_text="of the first event")
    recorded_at = s.DateTimeField()
    effective_at = s.DateTimeField()
    events = WrittenEvent(many=True)
    balances = s.DictField(child=Balance(), help_text="each account after this command, by account_id")
    replayed = s.BooleanField(help_text="true when an earlier request with this Idempotency-Key did it")
    dry_run = s.BooleanField(required=False, help_text="true when nothing was written; absent otherwise")
    transfer_id = s.CharField(required=False, help_text="of a movement between accounts")
    hold_id = s.CharField(required=False, help_text="of a hold")


class Envelope(s.Serializer[Any]):
    """One event with its place in the journal; hashes are lower-case hexadecimal."""

    position = s.IntegerField(allow_null=True, help_text="null for the moment until the journal has ordered it")
    event_id = s.UUIDField()
    aggregate_type = s.CharField()
    aggregate_id = s.CharField()
    version = s.IntegerField()
    event_type = s.CharField()
    schema_version = s.IntegerField()
    data = s.DictField()  # type: ignore[assignment]
    metadata = s.DictField()
    state = s.DictField(help_text="the aggregate after this event")
    sealed = s.DictField(
        required=False, help_text="what is recorded where `data` and `state` show an opened text; hashes are over this"
    )
    recorded_at = s.DateTimeField()
    effective_at = s.DateTimeField()
    previous_hash = s.CharField()
    hash = s.CharField()
    command_id = s.UUIDField()
    command_index = s.IntegerField()
    command_size = s.IntegerField()
    running_hash = s.CharField(allow_null=True)


class EventsAnswer(s.Serializer[Any]):
    events = Envelope(many=True)
    total = s.IntegerField(help_text="of all that the filters let through")
    next_after = s.IntegerField(allow_null=True, help_text="`after` of the next page; null at the end")


class Refusal(s.Serializer[Any]):
    """A command that a rule of the books refused; it changed nothing."""

    refusal_id = s.UUIDField()
    command_id = s.UUIDField()
    command_type = s.CharField()
    command = s.DictField(help_text="its fields; amounts as decimal strings")
    actor = s.CharField()
    code = s.CharField()
    detail = s.CharField()
    recorded_at = s.DateTimeField()


class RefusalsAnswer(s.Serializer[Any]):
    refusals = Refusal(many=True)
    total = s.IntegerField(help_text="of all that the filters let through")
    next_after = s.UUIDField(allow_null=True, help_text="`after` of the next page; null at the end")


class BalanceAtAnswer(s.Serializer[Any]):
    account_id = s.CharField()
    balance = s.CharField()
    currency = s.CharField()
    status = s.CharField()
    at = s.DateTimeField()
    version = s.IntegerField()
    final = s.BooleanField(help_text="no later answer for this instant will differ")
    proof = s.DictField(
        required=False, help_text="with proof=1: checkpoint, indices, packed entries and paths, or a statement"
    )


class Currency(s.Serializer[Any]):
    code = s.CharField()
    decimals = s.IntegerField()


class CurrenciesAnswer(s.Serializer[Any]):
    currencies = Currency(many=True)


class User(s.Serializer[Any]):
    username = s.CharField()
    roles = s.ListField(child=s.CharField())


class TokenAnswer(s.Serializer[Any]):
    token = s.CharField()
    expiry = s.DateTimeField(allow_null=True)
    user = User()


def query(name: str, schema: dict[str, Any] | Any, description: str, *, required: bool = False) -> OpenApiParameter:
    """Return the description of a query parameter."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, required=required, description=description)


INSTANT = OpenApiTypes.DATETIME


def without_slash_twins(endpoints: list[Any], **_: Any) -> list[Any]:
    """Leave out the addresses under /api/v1/ that end in a slash: each is another one's twin."""
    return [
        endpoint
        for endpoint in endpoints
        if not endpoint[0].rstrip("/").startswith("/api/v1/") or endpoint[0][-1] != "/"
    ]
