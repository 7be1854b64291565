"""The integrity pages: a verification runs once at a time and says what it found; proofs and heads are checked anew."""

from __future__ import annotations

import html
import io
import re
import subprocess
import sys
import zipfile
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone

from auditor.integrity.proof import path_steps
from auditor.jobs.start import SILENCE_MAX, AlreadyRunning, register, start
from auditor.jobs.work import VERIFY
from auditor.models import Job
from chronicle.roles import Role
from ledger.models import Event
from ledger.store.connection import STATEMENT_MS_MAX
from ledger.store.merkle import LeafList, inclusion_path, node_hash, tree_hash
from tests.api_world import new_user
from tests.engines import postgresql_only
from tests.portal_world import accesses, signed_in
from tests.proof_world import deposit_more, sign, small_history, tamper
from tests.servers import REPOSITORY, Servers, libpq
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def ended(kind: str = VERIFY) -> Job:
    def job() -> Job | None:
        return Job.objects.filter(kind=kind).exclude(state=Job.State.RUNNING).order_by("-pk").first()

    wait_for(lambda: job() is not None, "the end of a job", 60.0)
    found = job()
    assert found is not None
    return found


def test_a_verification_runs_in_a_process_of_its_own_and_its_verdict_is_kept(auditor: Client) -> None:
    small_history()
    assert auditor.post("/admin/integrity/verify/", {"semantic": "on"}).status_code == 302
    job = ended()
    assert (job.state, job.is_good, job.done, job.total, job.error) == ("done", True, 10, 10, "")
    shown = text(auditor.get("/admin/integrity/"))
    assert "No fault found 10 events" in shown
    assert "with every command decided again" in shown


def test_a_fault_is_shown_with_its_position(auditor: Client, stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE events SET data = data || '{\"amount_minor\": 1}' WHERE aggregate_id = 'bob' AND version = 2")
    auditor.post("/admin/integrity/verify/")
    job = ended()
    assert (job.state, job.is_good) == ("done", False)
    shown = text(auditor.get(f"/admin/integrity/runs/{job.pk}/"))
    assert "7 bob 2 hash" in shown
    assert "Faults" in text(auditor.get("/admin/integrity/"))


def test_two_verifications_at_once_are_refused_and_the_second_is_told_of_the_first(auditor: Client) -> None:
    first = register(VERIFY, new_user(Role.AUDITOR))
    answer = auditor.post("/admin/integrity/verify/", follow=True)
    assert "Not started: a verification is running already" in text(answer)
    assert [job.pk for job in Job.objects.all()] == [first.pk]
    with pytest.raises(AlreadyRunning):
        start(VERIFY, new_user())


def test_a_running_one_is_there_after_a_reload_and_can_be_stopped_by_who_started_it(auditor: Client) -> None:
    job = register(VERIFY, new_user(Role.AUDITOR))
    assert f'data-job="{job.pk}"' in auditor.get("/admin/integrity/").content.decode()
    assert auditor.post(f"/admin/jobs/{job.pk}/stop/").status_code == 403
    stop, administrator = f'action="/admin/jobs/{job.pk}/stop/"', signed_in(Role.ADMINISTRATOR)
    assert stop not in auditor.get("/admin/integrity/").content.decode()
    assert stop in administrator.get("/admin/integrity/").content.decode()
    assert administrator.post(f"/admin/jobs/{job.pk}/stop/").status_code == 302
    job.refresh_from_db()
    assert job.state == Job.State.STOPPED


def test_a_process_that_died_is_no_running_verification(auditor: Client) -> None:
    job = register(VERIFY, new_user())
    Job.objects.update(heard_at=timezone.now() - SILENCE_MAX - timedelta(seconds=1))
    assert "its process was lost" in text(auditor.get("/admin/integrity/"))
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    register(VERIFY, new_user())


@postgresql_only("there is no LOCK TABLE on CockroachDB")
@pytest.mark.parametrize("shell", [[], ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]], ids=["", "in the background"])
def test_the_work_ends_with_the_web_process_that_started_it(stack: Servers, shell: list[str]) -> None:
    """Also when that was started in the background of a shell, which has SIGINT ignored from there on."""
    small_history()
    job = register(VERIFY, new_user())
    command = [*shell, sys.executable, str(REPOSITORY / "manage.py"), "run_job", str(job.pk), "--with-parent"]
    with psycopg.connect(libpq(stack.event_store_owner_url)) as owner:
        owner.execute("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")  # so that it is under way for as long as we like
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            wait_for(lambda: Job.objects.get().heard_at > job.heard_at, "a job that is under way")
            assert process.stdin is not None
            process.stdin.close()  # which is all that is seen of a web process that is killed
            assert process.wait(STATEMENT_MS_MAX / 1_000 - 5) == 1, "before the server itself ends the statement"
    job.refresh_from_db()
    assert (job.state, job.error) == ("stopped", "it was stopped, or the web process that started it ended")
    again = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, capture_output=True)
    assert again.returncode == 2, "what has ended is not done again"


@pytest.mark.parametrize("role", [Role.OPERATOR, None])
def test_starting_one_takes_the_role_of_an_auditor_or_an_administrator(role: Role | None) -> None:
    browser = signed_in(*[role] if role else [])
    assert browser.post("/admin/integrity/verify/").status_code in (302, 403)
    assert not Job.objects.exists()


def test_the_drawn_path_of_every_leaf_leads_to_the_root_of_trees_of_every_shape() -> None:
    for size in range(1, 18):
        leaves = [bytes([number]) * 32 for number in range(size)]
        tree = LeafList(leaves)
        for index in range(size):
            steps = path_steps(leaves[index], index, size, tuple(inclusion_path(index, size, tree.range_hash)))
            assert (steps[-1].parent if steps else leaves[0]) == tree_hash(leaves)
            for step in steps:
                assert step.sibling == tree.range_hash(step.first - 1, step.last)
                pair = (step.sibling, step.ours) if step.is_sibling_left else (step.ours, step.sibling)
                assert step.parent == node_hash(*pair)


def test_an_event_is_proven_by_its_position_and_by_its_id(auditor: Client) -> None:
    head = small_history()
    event = Event.objects.get(aggregate_id="bob", version=2)
    for named in ("7", str(event.pk)):
        shown = text(auditor.get("/admin/integrity/event/", {"event": named}))
        assert "This event is in the signed log" in shown
        assert head.root.hex() in shown
        assert bytes(event.hash).hex() in shown
        assert "✗" not in shown
    assert [(kind, subject) for kind, subject, _ in accesses()] == [("event", str(event.pk))] * 2


def test_an_event_that_was_altered_is_not_proven(auditor: Client, stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE events SET data = data || '{\"amount_minor\": 1}' WHERE aggregate_id = 'bob' AND version = 2")
    shown = text(auditor.get("/admin/integrity/event/", {"event": "7"}))
    assert "The proof does not hold" in shown
    assert "✗ Its bytes hash to the leaf" in shown


@pytest.mark.parametrize(
    ("named", "status", "sentence"),
    [
        ("0", 404, "Positions begin at 1"),
        ("11", 404, "The journal has no position 11"),
        ("9" * 40, 404, "Positions begin at 1"),
        ("no-such", 404, "An event is named by its id"),
        ("00000000-0000-0000-0000-000000000000", 404, "The journal has no event"),
    ],
)
def test_what_is_not_there_is_said_plainly(auditor: Client, named: str, status: int, sentence: str) -> None:
    small_history()
    assert sentence in text(auditor.get("/admin/integrity/event/", {"event": named}), status)


def test_without_a_head_the_page_opens_and_says_so(auditor: Client) -> None:
    assert "No tree head was signed yet" in text(auditor.get("/admin/integrity/"))


def compared(auditor: Client, note: str) -> str:
    return text(auditor.get(f"/admin/integrity/compare/?head={quote(note)}"))


def test_a_kept_head_is_the_beginning_of_the_current_log(auditor: Client) -> None:
    kept = small_history()
    deposit_more("ann", 5)
    sign()
    # As a browser sends what was pasted into a text field.
    shown = compared(auditor, "\n " + kept.note.replace("\n", "\r\n") + "\n\n")
    assert "The same history The first 10 events are exactly those that your head signed; 5 were added" in shown
    assert "Your head is the current one" in compared(auditor, sign().note)


def test_the_proof_of_a_comparison_can_be_taken_away(auditor: Client) -> None:
    kept = small_history()
    assert "form=add-checkpoint" not in auditor.get("/admin/integrity/compare/", {"head": kept.note}).text, "no path"
    deposit_more("ann", 1_005)
    later = sign()
    page = auditor.get("/admin/integrity/compare/", {"head": kept.note}).text
    (link,) = re.findall(r'href="(/log/consistency[^"]+)"', page)
    taken = auditor.get(html.unescape(link)).text
    assert taken.startswith("old 10\n")
    assert taken.endswith(f"\n\n{later.note}")


def test_a_head_of_another_history_is_told_apart(auditor: Client, stack: Servers) -> None:
    from tests.clean import empty_everything

    kept = small_history()
    deposit_more("ann", 3)
    longer = sign()
    empty_everything(stack)
    small_history()
    auditor = signed_in(Role.AUDITOR)
    assert "History was rewritten Positions 1 to 10 are not those that were signed" in compared(auditor, kept.note)
    assert "The log is shorter than it was Your head covers 13 events" in compared(auditor, longer.note)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda note: "hello", "Not a tree head"),
        (lambda note: note.replace("/log\n", "/other\n", 1), "Not signed by this log"),
        (lambda note: note.partition("\n\n")[0], "Not signed by this log"),
        (lambda note: note.replace("\n10\n", "\n11\n"), "Not signed by this log"),
        (lambda note: note.replace("— ", "- "), "Not signed by this log"),
    ],
)
def test_malformed_and_forged_heads_prove_nothing(auditor: Client, change: Any, verdict: str) -> None:
    note = small_history().note
    assert verdict in compared(auditor, change(note))


def test_a_bundle_of_an_event_and_of_an_account_verifies_offline(auditor: Client, tmp_path: Any) -> None:
    small_history()
    for parameters in ({"event": "7"}, {"account": "ann"}):
        answer = auditor.get("/admin/integrity/evidence/", parameters)
        assert answer.status_code == 200
        content = async_to_sync(whole)(answer.streaming_content)
        bundle = tmp_path / "evidence.zip"
        bundle.write_bytes(content)
        zipfile.ZipFile(io.BytesIO(content)).extract("verify_evidence.py", tmp_path)
        key = auditor.get("/log/key").content.decode().strip()
        command = [sys.executable, str(tmp_path / "verify_evidence.py"), str(bundle), "--key", key]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "No event of account nobody" in text(auditor.get("/admin/integrity/evidence/", {"account": "nobody"}), 404)


async def whole(pieces: Any) -> bytes:
    return b"".join([piece async for piece in pieces])
