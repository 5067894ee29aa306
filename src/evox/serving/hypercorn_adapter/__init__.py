"""Hypercorn adapter: hypercorn's HTTP/1.1, HTTP/2 and WebSocket protocols on anyio streams.

The only room that knows hypercorn and the parsers beneath it. Its protocol classes are used, with small
implementations of the interfaces they ask for (task group, event, context) on anyio, so one loop serves trio and
asyncio. Its servers are not used: under trio they end the process when one connection fails, and on both loops a
client that stops reading makes them hang at shutdown.

```
connection  one connection: reading, writing, and how long a client may take for either
http1       h11 made strict, and what is answered to a request that is none
http2       what hypercorn's HTTP/2 lacks: floods, flow control, early answers, GOAWAY
outbuffer   what has been sent on an HTTP/2 stream and has no room yet
websocket   close codes, message sizes, pings
tasks       one task for each request
inbox       what has come for one request and the app has not taken
interfaces  what hypercorn's protocols ask of a server
```
"""

from evox.serving.hypercorn_adapter.connection import Connection
from evox.serving.hypercorn_adapter.interfaces import Shared

__all__ = ["Connection", "Shared"]
