"""``python -m evox``: the same as ``evox``."""

import sys

from evox.cli import main

if __name__ == "__main__":
    sys.exit(main())
