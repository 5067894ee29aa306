"""The fast lane: plain HTTP/1.1, one task a connection, each request answered in it.

What it does not serve goes to hypercorn with all of its bytes: upgrades, HTTP/2, TLS, and every request that is not
plainly right, so that there is one place that says how those are refused.

```
lane        the connections of one app, and the sweep that watches their times and clients
connection  one connection: requests one after the other
head        the head of a request, read by httptools
chunks      where a body in chunks ends
exchange    one request and its answer, as ASGI sees them
reply       an answer as bytes
```
"""

from evox.serving.http1.connection import Connection
from evox.serving.http1.lane import Lane

__all__ = ["Connection", "Lane"]
