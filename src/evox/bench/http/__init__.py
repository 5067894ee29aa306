"""HTTP: how fast Evox answers beside its peers, on this machine, in one run."""

from evox.bench.http.contestants import CONTESTANTS
from evox.bench.http.page import write
from evox.bench.http.questions import NAMES
from evox.bench.http.result import Result, blocks, conditions
from evox.bench.http.running import run
from evox.bench.http.wrk import available

__all__ = ["CONTESTANTS", "NAMES", "Result", "available", "blocks", "conditions", "run", "write"]
