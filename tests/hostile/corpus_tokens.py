"""Credentials that have to be refused, each beside its twin without the one defect, which has to be let in."""

from tests.hostile.corpus_tokens_claims import CLAIMS
from tests.hostile.corpus_tokens_header import HEADERS
from tests.hostile.corpus_tokens_internal import INTERNALS
from tests.hostile.corpus_tokens_json import DOCUMENTS
from tests.hostile.corpus_tokens_requests import REQUESTS
from tests.hostile.corpus_tokens_writing import WRITING
from tests.hostile.refusals import Pair

__all__ = ["PAIRS"]

PAIRS: tuple[Pair, ...] = (*HEADERS, *CLAIMS, *WRITING, *DOCUMENTS, *REQUESTS, *INTERNALS)

if len({one.name for one in PAIRS}) != len(PAIRS):
    raise ValueError("two pairs have one name")
