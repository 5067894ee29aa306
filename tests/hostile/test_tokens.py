"""A2, A3, A4: credentials with one defect are refused over a real socket, and the same without it are let in.

The answer to whoever is refused is the same, whatever was wrong. Which check failed stands in the record and in the
log, and nothing of the token does.
"""

import logging
from pathlib import Path

import pytest
from tests.hostile.corpus_tokens import PAIRS
from tests.hostile.corpus_tokens_header import HEADERS
from tests.hostile.corpus_tokens_requests import REQUESTS
from tests.hostile.forge import INTERNAL, MARK, OTHER, SECRET
from tests.hostile.refusals import Answer, Pair, pieces, send
from tests.hostile.vault import guarded
from tests.lanes import LANES

pytestmark = pytest.mark.usefixtures("http1")

BODIES = {
    401: b'{"type": "about:blank", "title": "Unauthorized", "status": 401}',
    403: b'{"type": "about:blank", "title": "Forbidden", "status": 403}',
}
CHALLENGES = {401: ', error="invalid_token"', 403: ', error="insufficient_scope"'}


def refusal(status: int, *, tried: bool) -> Answer:
    """Return what whoever is refused has to be told; ``tried``: it brought a token along."""
    body = BODIES[status]
    headers = {
        "content-length": str(len(body)),
        "content-type": "application/problem+json",
        "www-authenticate": 'Bearer realm="vault"' + (CHALLENGES[status] if tried else ""),
        "cache-control": "no-store",
        "connection": "close",
    }
    return Answer(status, tuple(headers.items()), body, b"")


# What a token says is read alike; how it stands in its request is for whoever reads that.
CASES = [(pair, lane) for pair in PAIRS for lane in (LANES if pair in (*HEADERS, *REQUESTS) else LANES[:1])]


@pytest.mark.parametrize(("pair", "http1"), CASES, ids=str, indirect=["http1"])
async def test_A3_a_defect_is_refused_and_its_twin_is_let_in(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with guarded(tmp_path, pair.ring) as vault:
        ask = pair.bad()
        answer = await send(vault.url, ask)
        expected = refusal(pair.status, tried=not pair.reason.startswith("NotAuthenticated"))
        assert (answer.status, answer.headers, answer.body) == (expected.status, expected.headers, expected.body)
        assert vault.entered == []

        (recorded,) = vault.statistics().recent
        assert recorded.status == pair.status
        assert recorded.reason.startswith(pair.reason)
        assert recorded.reason in caplog.text
        said = caplog.text + repr(vault.statistics()) + answer.raw.decode("latin-1")
        shown = [piece for piece in (*pieces(ask), MARK) if piece in said]
        assert shown == []
        assert [key.kid for key in (SECRET, OTHER, INTERNAL) if key.jwk["k"] in said] == []

        accepted = vault.statistics().accepted
        let_in = await send(vault.url, pair.twin())
        assert (let_in.status, let_in.body) == (200, b'"let in"')
        assert len(vault.entered) == vault.statistics().accepted - accepted == 1
