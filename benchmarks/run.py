"""``evox bench http`` from the repository; ``make bench`` runs it with all peers installed."""

import sys

from evox.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "http", *sys.argv[1:]]))
