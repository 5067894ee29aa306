"""Syntax: what HTTP's texts look like where more than one protocol is read."""

import re
from typing import Final

__all__ = ["HOST"]

# RFC 3986 section 3.2.2, and a port
HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]*)?")
