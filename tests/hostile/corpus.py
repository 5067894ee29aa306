"""The hostile corpus: 350 inputs, generated, that a server has to survive.

Each does its evil on one connection within about a second; what takes its time on purpose is not here. Let loose on
plain hypercorn 0.18 on trio by ``control.py``, 39 of them end the process, 2 wedge it for more than a second and 11
leave tasks or descriptors behind. What ends it, by cause:

- headers that are decoded as ASCII, or that wsproto or h2 refuse to read, while a WebSocket or h2c begins (18);
- what h2 lets pass and hypercorn does not expect: CONNECT without a path, paths and methods above 127 (7);
- a body that goes on after its stream is over, over HTTP/2 and in a WebSocket (6);
- priorities: more streams than its tree holds, rings, and chains too deep to walk (5);
- a WebSocket handshake with bytes behind it, before the app has accepted (3).
"""

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
