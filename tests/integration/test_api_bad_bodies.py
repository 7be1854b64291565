"""Bodies that are no clear JSON object: each has its own code, and none leaves a trace in the event store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from ledger.api.body import BODY_BYTES_MAX
from tests.api_world import API, new_id, post, problem
from tests.bad_input_world import money

pytestmark = pytest.mark.usefixtures("database", "nothing_is_written")


BODIES = {
    "nothing": ("", "invalid_json"),
    "half an object": ('{"account_id": ', "invalid_json"),
    "two objects": ("{}{}", "invalid_json"),
    "single quotes": ("{'account_id': 'a'}", "invalid_json"),
    "a comment": ('{"account_id": "a"} // a', "invalid_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "invalid_json"),
    "not UTF-8": (b'{"account_id": "\xff"}', "invalid_json"),
    "a raw null byte": (b'{"account_id": "a\x00b"}', "invalid_json"),
    "NaN": ('{"account_id": "a", "amount": NaN}', "invalid_json"),
    "Infinity": ('{"account_id": "a", "amount": -Infinity}', "invalid_json"),
    "an exponent beyond measure": ('{"account_id": "a", "amount": 1e99999999999999999999}', "invalid_json"),
    "deep nesting": ("[" * 30_000, "invalid_json"),
    "a list": ("[]", "body_not_object"),
    "a string": ('"deposit"', "body_not_object"),
    "null": ("null", "body_not_object"),
    "a key twice": ('{"account_id": "a", "amount": "1", "amount": "2"}', "duplicate_key"),
    "a key twice, deeper": ('{"x": [{"a": 1, "a": 1}]}', "duplicate_key"),
    "10,000 keys and one twice": ("{" + ",".join(f'"{n:x}":1' for n in [*range(7_000), 6_999]) + "}", "duplicate_key"),
}


@pytest.mark.parametrize(("body", "code"), BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_clear_json_object_is_malformed(operator: Client, body: Any, code: str) -> None:
    problem(post(operator, "deposit", body, Idempotency_Key=new_id("key")), 400, code)


def test_a_body_beyond_the_limit_is_too_large(operator: Client) -> None:
    body = json.dumps(money(description="x" * BODY_BYTES_MAX))
    assert problem(post(operator, "deposit", body), 413, "body_too_large")["bytes_max"] == BODY_BYTES_MAX


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(operator: Client, content_type: str) -> None:
    response = operator.post(f"{API}/commands/deposit", json.dumps(money()), content_type=content_type)
    problem(response, 415, "unsupported_media_type")
