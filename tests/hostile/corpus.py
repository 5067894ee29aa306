"""The hostile corpus: all inputs by name."""

from tests.hostile.corpus_h2c import H2C
from tests.hostile.corpus_http1 import HTTP1
from tests.hostile.corpus_http2 import HTTP2_REQUESTS
from tests.hostile.corpus_http2_floods import HTTP2_FLOODS
from tests.hostile.corpus_tls import TLS
from tests.hostile.corpus_websocket import WEBSOCKET
from tests.hostile.peer import Hostile

__all__ = ["CORPUS", "PLAIN"]

PLAIN: tuple[Hostile, ...] = (*HTTP1, *H2C, *HTTP2_REQUESTS, *HTTP2_FLOODS, *WEBSOCKET)
CORPUS: tuple[Hostile, ...] = (*PLAIN, *TLS)

if len({one.name for one in CORPUS}) != len(CORPUS):
    raise ValueError("two hostile inputs have one name")
