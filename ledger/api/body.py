"""Reads a JSON body strictly: what is ambiguous is refused, and no number passes a binary float.

Python's own parser takes NaN, keeps the last of two equal keys and rounds decimals; each of these would let
two readers of one request see two different commands.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.datastructures import MultiValueDict
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from ledger.api.errors import BodyNotObject, BodyTooLarge, DuplicateKey, InvalidJson

# The longest valid command is below 4 KiB, with every character of its texts escaped below 10.
BODY_BYTES_MAX = 64 * 1024
# int() takes quadratic time and refuses more than 4,300 digits; a Decimal of any length is exact and cheap.
INTEGER_DIGITS_MAX = 64


class StrictJsonParser(BaseParser):
    media_type = "application/json"
    body_bytes_max = BODY_BYTES_MAX

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        body = stream.read(self.body_bytes_max + 1)
        if len(body) > self.body_bytes_max:
            raise BodyTooLarge(f"a body has at most {self.body_bytes_max} bytes", bytes_max=self.body_bytes_max)
        return parse_object(body)


class StrictRequest(Request):
    """A request whose body is read whatever Content-Length says: a chunked one has none."""

    def _load_stream(self) -> None:
        self._stream = self._request  # type: ignore[assignment]

    def _parse(self) -> tuple[Any, Any]:
        # Said in so many words there is nothing to negotiate, which takes as long as reading a command.
        if self.content_type == StrictJsonParser.media_type:
            assert self.parsers, "a view has one parser"
            return self.parsers[0].parse(self.stream), MultiValueDict()
        parsed: tuple[Any, Any] = super()._parse()  # type: ignore[misc]
        return parsed


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Numbers are int or Decimal.

    **Raises** InvalidJson, DuplicateKey, BodyNotObject.
    """
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidJson("the body is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise InvalidJson(f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error
    if not isinstance(value, dict):
        raise BodyNotObject("the body is a JSON object")
    return value


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InvalidJson("a number's exponent is beyond every measure") from error


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else Decimal(text)


def _refuse_constant(text: str) -> None:
    raise InvalidJson(f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise DuplicateKey("an object names a key twice", field=twice[:64])
    return result


_DECODER = json.JSONDecoder(
    parse_float=_decimal, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_object
)
