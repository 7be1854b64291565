"""Signed notes, checkpoints and proof files against the worked examples of their specifications."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.store.signed_note import InvalidNote, Signer, Verifier, open_note
from ledger.store.tree_head_note import TreeHead, open_tree_head, parse_tree_head, read_tlog_proof, write_tlog_proof

# https://c2sp.org/signed-note, section "Example".
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# https://c2sp.org/tlog-checkpoint, the example's text.
CHECKPOINT_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ORIGIN = "ledger.example/log"
HEAD = TreeHead(ORIGIN, 3, bytes(range(32)))


@pytest.fixture
def signer() -> Signer:
    return Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_the_specifications_note_verifies_under_its_key() -> None:
    key = Verifier.parse(VKEY)
    assert open_note(NOTE, [key]) == ("This is an example message.\n", [key])
    assert key.vkey == VKEY


@pytest.mark.parametrize("position", range(len(NOTE.encode())))
def test_no_byte_of_a_signed_note_can_be_changed(position: int) -> None:
    altered = bytearray(NOTE.encode())
    altered[position] ^= 0x01
    try:
        text = altered.decode()
    except UnicodeDecodeError:
        return  # a note is UTF-8: whoever reads it as such has refused it already
    with pytest.raises(InvalidNote):
        open_note(text, [Verifier.parse(VKEY)])


def test_what_is_signed_here_opens_under_the_vkey(signer: Signer) -> None:
    note = signer.sign("hello\n\nworld\n")
    assert open_note(note, [Verifier.parse(signer.verifier.vkey)])[0] == "hello\n\nworld\n"


def test_signatures_of_unknown_keys_are_ignored(signer: Signer) -> None:
    other = Signer(ORIGIN, Ed25519PrivateKey.generate())
    note = signer.sign("hello\n") + other.sign("hello\n").split("\n\n")[1]
    assert open_note(note, [signer.verifier])[1] == [signer.verifier]
    assert open_note(note, [other.verifier, signer.verifier])[1] == [signer.verifier, other.verifier]


def test_a_note_that_no_known_key_signed_is_refused(signer: Signer) -> None:
    with pytest.raises(InvalidNote, match="no known key"):
        open_note(signer.sign("hello\n"), [Verifier.parse(VKEY)])


def test_a_wrong_signature_of_a_known_key_spoils_the_note(signer: Signer) -> None:
    other = Signer("other.example", Ed25519PrivateKey.generate())
    note = signer.sign("hello\n") + other.sign("another text\n").split("\n\n")[1]
    with pytest.raises(InvalidNote, match=r"other\.example does not verify"):
        open_note(note, [signer.verifier, other.verifier])


@pytest.mark.parametrize("text", ["no newline", "tab\t\n", "nul\0\n", ""])
def test_a_text_that_is_no_notes_text_is_not_signed(signer: Signer, text: str) -> None:
    with pytest.raises(InvalidNote):
        signer.sign(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b"])
def test_a_key_has_a_name_that_a_signature_line_can_carry(name: str) -> None:
    with pytest.raises(InvalidNote):
        Verifier(name, bytes(32))


@pytest.mark.parametrize(
    "vkey",
    ["", "name", VKEY.replace("530d903a", "530d903b"), VKEY.replace("+Aeky", "+Beky"), VKEY[:-4], VKEY + "="],
)
def test_a_malformed_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(InvalidNote):
        Verifier.parse(vkey)


def test_the_specifications_checkpoint_is_read_and_written() -> None:
    head = parse_tree_head(CHECKPOINT_TEXT)
    assert (head.origin, head.size, base64.b64encode(head.root).decode()) == (
        "example.com/behind-the-sofa", 20852163, "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
    )  # fmt: skip
    assert head.text == CHECKPOINT_TEXT


def test_extension_lines_of_a_checkpoint_are_allowed() -> None:
    assert parse_tree_head(CHECKPOINT_TEXT + "extension\n").size == 20852163


@pytest.mark.parametrize("text", ["a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "a\n1\nAAAA\n", "a\n1\n!\n", "a\n\n\n"])
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidNote):
        parse_tree_head(text)


def test_a_checkpoint_of_another_log_is_refused(signer: Signer) -> None:
    note = signer.sign(HEAD.text)
    assert open_tree_head(note, [signer.verifier], ORIGIN) == HEAD
    with pytest.raises(InvalidNote, match=r"not of other\.example"):
        open_tree_head(note, [signer.verifier], "other.example")


def test_a_proof_file_has_the_specified_lines_and_reads_back(signer: Signer) -> None:
    path = [bytes([n]) * 32 for n in range(2)]
    checkpoint = signer.sign(HEAD.text)
    proof = write_tlog_proof(7, path, checkpoint)
    lines = proof.split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 7"]
    assert [base64.b64decode(line) for line in lines[2:4]] == path
    assert lines[4] == ""
    assert proof.endswith("\n\n" + checkpoint)
    assert read_tlog_proof(proof) == (7, path, checkpoint)
    assert read_tlog_proof(proof.replace("index", "extra AAAA\nindex", 1)) == (7, path, checkpoint)


@pytest.mark.parametrize("proof", ["", "c2sp.org/tlog-proof@v1\n\n", "c2sp.org/tlog-proof@v1\nindex 07\n\n",
                                   "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n"])  # fmt: skip
def test_a_malformed_proof_file_is_refused(proof: str) -> None:
    with pytest.raises(InvalidNote):
        read_tlog_proof(proof)
