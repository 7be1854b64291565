"""Whatever is typed into an address or a form of the portal: an answer with a sentence, no failure, nothing written.

What there is to fill in is taken from the pages themselves: every address of the URL conf is opened, and the forms
and links that its page has say which parameters there are. So a page that is added is walked too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import cycle, islice
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import get_resolver

from auditor.models import Finding, Job
from chronicle.roles import Role
from ledger.models import Event
from tests.integration.test_portal_refusals import addresses, contents, keys_by_page
from tests.portal_world import BAKERY, MILL, signed_in, town
from tests.proof_world import sign

BAD = (
    "", " ", "\x00", "9" * 400, "-1", "0", "1e999", "NaN", "99999999999999999999", "x" * 6_000, "é'\"<b>\\%_{{ a }}",
    "../../..", "٣", "2026-13-45T99:99", "0001-01-01", "9999-12-31T23:59:59.999999+23:59", "null", "[1]", "a,b,c", "%00%2C",
)  # fmt: skip
# So many of the values above for each parameter, and for each field of a form; which ones comes round.
PER_PARAMETER, PER_FIELD = 5, 2
# What fills the other fields of a form, so that the one in question is reached.
GOOD = {
    "account_id": BAKERY, "from_account_id": BAKERY, "to_account_id": MILL, "amount": "1", "description": "Bread",
    "reason": "Because", "owner_name": "Somebody", "currency": "USD", "limit": "5", "subject": BAKERY, "kind": "account",
    "note": "A note", "state": "open", "format": "csv",
}  # fmt: skip
# What ends a session, or is a form of Django's own, or begins work in a process whatever is sent along.
LEFT_OUT = re.compile(r"/(logout|password_change|auth|knox|integrity/verify|operations/rebuild|login|jsi18n)\b")
SENTENCE = re.compile(r'<h1>|class="ledger-alarm"|ledger-nothing-found|Write an instant as|data-tone="warning"')


class Form(NamedTuple):
    action: str
    fields: dict[str, str]


class Offered(HTMLParser):
    """Collects from a page its forms, and the parameters that its links and its searches give to each address."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.posts: list[Form] = []
        self.parameters: dict[str, dict[str, str]] = {}
        self._form: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(urljoin(self.address, given.get("action", "")), {})
            if given.get("method", "get").lower() == "post":
                self.posts.append(self._form)
            else:
                self.parameters.setdefault(urlsplit(self._form.action).path, self._form.fields)
        elif tag in ("input", "textarea", "select") and self._form is not None and given.get("name"):
            self._form.fields[given["name"]] = given.get("value", "")
        elif tag == "a" and "?" in given.get("href", ""):
            where = urlsplit(urljoin(self.address, given["href"]))
            self.parameters.setdefault(where.path, {}).update(parse_qsl(where.query))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


@pytest.fixture(scope="module")
def pages(clean_stores_for_module: None) -> Offered:
    """What all pages of one ledger offer; no test of this module can change it, which is the point."""
    town()
    sign()
    return offered(everybody())


pytestmark = [pytest.mark.usefixtures("pages", "database"), pytest.mark.timeout(300)]


@pytest.fixture
def browser() -> Client:
    return everybody()


def everybody() -> Client:
    """Return somebody with every role, so that nothing is passed over; a failure is an answer, not an exception."""
    client = signed_in(*Role)
    client.raise_request_exception = False
    return client


def offered(browser: Client) -> Offered:
    """Open every address of the portal and return what all of them offer."""
    event_id = str(Event.objects.values_list("pk", flat=True)[0])
    browser.post("/admin/findings/new/", {name: GOOD[name] for name in ("kind", "subject", "note", "state")})
    export = browser.post("/admin/exports/new/?list=projections.account", {"format": "csv"})["Location"]
    found = Offered("/")
    more = [export, f"/admin/integrity/event/?event={event_id}", f"/admin/owner/?account_id={BAKERY}"]
    more.append(f"/admin/exports/new/?list=statement&account_id={BAKERY}")
    for address in sorted({*addresses(get_resolver(), keys_by_page()), *more}):
        if not address.startswith("/admin/") or LEFT_OUT.search(address):
            continue
        answer = browser.get(address)
        assert answer.status_code < 500, address
        if answer.status_code == 200 and "html" in answer["Content-Type"] and not answer.streaming:
            found.address = address
            found.feed(answer.content.decode())
    return found


def bad_values(count: int) -> Iterator[tuple[str, ...]]:
    """Yield so many of the bad values, others each time."""
    values = cycle(BAD)
    while True:
        yield tuple(islice(values, count))


def wrong(answer: Any) -> str:
    """Return what is wrong with an answer, or nothing."""
    if answer.streaming:
        answer.close()  # nobody reads it to its end
    if answer.status_code >= 500:
        return str(answer.status_code)
    if answer.status_code >= 400 and not SENTENCE.search(answer.content.decode()):
        return f"{answer.status_code} without a sentence: {answer.content[:200]!r}"
    return ""


def test_no_parameter_of_any_address_makes_a_page_fail(browser: Client, pages: Offered) -> None:
    found, values, before = pages, bad_values(PER_PARAMETER), contents()
    assert {"/admin/books/", "/admin/live/", "/admin/ledger/refusal/", "/admin/owner/"} < found.parameters.keys()
    failed = {}
    asked = 0
    for path, parameters in found.parameters.items():
        if not path.startswith("/admin/") or LEFT_OUT.search(path):
            continue
        for name in parameters:
            for bad in next(values):
                for query in ({**parameters, name: bad}, {name: [bad, parameters[name]]}):
                    asked += 1
                    if said := wrong(browser.get(path, query)):
                        failed[path, name, bad[:30]] = said
        browser.get(f"{path}?%FF=%C3%28&&=&;")
    assert failed == {}
    assert asked >= 500
    assert contents() == before


def test_no_form_fails_or_writes_whatever_is_filled_in(browser: Client, pages: Offered) -> None:
    found, values, before = pages, bad_values(PER_FIELD), contents()
    forms = {form.action: form for form in found.posts if not LEFT_OUT.search(form.action)}
    for action in ("/admin/findings/new/", "/admin/commands/transfer/", "/admin/projections/parkedevent/"):
        assert any(action in there for there in (*forms, "/admin/projections/parkedevent/")), action
    failed = {}
    for action, form in forms.items():
        good = {name: value or GOOD.get(name, "") for name, value in form.fields.items()}
        for name in form.fields:
            for bad in next(values):
                for fields in ({**good, name: bad}, {name: [bad, bad]}):
                    if said := wrong(browser.post(action, fields)):
                        failed[action, name, bad[:30]] = said
        for body, kind in (
            ("{", "application/json"),
            ("a=%00", "text/plain"),
            ("x", "multipart/form-data; boundary=y"),
        ):
            if said := wrong(browser.post(action, body, content_type=kind)):
                failed[action, kind] = said
    assert failed == {}
    assert contents() == before


def test_no_form_is_taken_that_was_not_sent_from_a_page_of_the_portal(browser: Client) -> None:
    stranger = Client(enforce_csrf_checks=True)
    stranger.cookies = browser.cookies
    findings, jobs = Finding.objects.count(), Job.objects.count()
    for action in ("findings/new/", "commands/deposit/", "exports/new/?list=projections.account", "integrity/verify/"):
        answer = stranger.post(f"/admin/{action}", GOOD)
        assert answer.status_code == 403
        assert "Not sent from a page of this portal" in answer.content.decode()
    assert (Finding.objects.count(), Job.objects.count()) == (findings, jobs)
