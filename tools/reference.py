"""Write the pages in ``docs/reference`` from the code; ``make reference`` runs it, and a test compares.

python -m tools.reference            write them
python -m tools.reference --check    end with 1 if one is not as it would be written
"""

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import anyio
from pydantic import BaseModel, ByteSize
from tools.reference_api import api_page
from tools.reference_cli import cli_page
from tools.reference_metrics import metrics_page

from evox import EvoxError, Intent, service
from evox.config import IntentSettings, PeerSettings, Settings
from evox.config.fields import Bytes, Count, Limit, Number, Port, Seconds
from evox.services.observing import VIEWS, view_path
from evox.testing import running

__all__ = ["PAGES", "configuration_page", "declared_errors", "endpoints_page", "errors_page", "main", "options"]

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
TYPES: Final[list[tuple[Any, str]]] = [
    (Seconds, "duration"),
    (Limit, "duration over 0"),
    (Bytes, "size"),
    (Count, "whole number from 1"),
    (Number, "whole number from 0"),
    (Port, "0 to 65535"),
    (ByteSize, "size"),
    (bool, "`true` or `false`"),
    (str, "text"),
    (int, "whole number"),
    (float, "number"),
]
CONFIGURATION: Final = """\
# Configuration

Where options are read from, and which of several wins, is in the [quickstart](../quickstart.md#configuration). A
duration is seconds, or text such as `"250ms"`, `"30s"`, `"15m"`, `"1h"`, `"7d"`; a size is bytes, or text such as
`"10MB"` and `"64KiB"`. In the environment lists are separated by commas, and tables are JSON.

```toml
[tool.evox]
backend = "trio"

[tool.evox.serving]
drain_timeout = "20s"
body_bytes = "1MB"
```

"""
ERRORS: Final = """\
# Errors

An error says what happened, why, what to do, and shows your line. What stands between `://` and `@` is never shown, in
logs neither, which have the same as fields where they are JSON. `--trace` adds the whole traceback. All are subclasses
of `evox.EvoxError`, in `evox.errors`, with `id`, `what`, `why`, `fix`, `place`, `status`, `exit_code` and `retryable`.

```python
from evox import EvoxError
from evox.errors import Overloaded

assert issubclass(Overloaded, EvoxError)
assert (Overloaded.id, Overloaded.status, Overloaded.retryable) == ("EVX-603", 503, True)
```

Over HTTP an error of Evox is `application/problem+json` (RFC 9457); FastAPI's own errors keep FastAPI's form. What is
401 or 403 tells its client nothing else; what is 500 tells the client its id, and the log the rest. A command that
ends with an error ends with its exit code: [what they mean](cli.md#exit-codes). What is *again* may succeed when it is
tried again.

| id | name | status | exit code | again | meaning |
|---|---|---|---|---|---|
"""
SEEN: Final = {
    "info": "versions, loop, process, commit, lock file",
    "mappings": "every endpoint with method, path, priority, roles, intent, timeout and its line",
    "metrics": "everything that is counted, in OpenMetrics: [Metrics](metrics.md)",
    "queues": "seats and queues of each level: how many, how long, who was turned away and why",
    "tasks": "all tasks of the process, as the tree that they are",
    "scheduled": "background tasks: last run, last error, next run",
    "caches": "reads by how they ended, backends, copies in memory, idempotency keys",
    "intents": "what was said of data, and where it lives",
    "proxy": "calls to other services, who makes them, breakers, peers, the registry",
    "config": "every option with its value and where it came from",
    "errors": "what is and was wrong, since when and why; the last errors and warnings of the log",
    "startup": "what happened when, from the start on",
    "snapshot": "all that changes, at one moment",
}
ENDPOINTS: Final = """\
# Endpoints

What each service answers besides your own endpoints. All of it is GET, takes no seat, and is answered while the
service is down or restarts. Who may look is in [Observation](../observation.md#who-may-look); what each state means
for probes is in [restarts and health](../decisions/0008-restarts-and-health.md). `.health("/status")` and
`.capabilities("/about")` move the first five.

| path | for | members of the answer | says |
|---|---|---|---|
"""


def options(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str, str]]:
    """Yield each option of a table and those below it: name, annotation, default as in TOML, meaning."""
    hints = typing.get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and field.description is None:
            yield from options(kind, f"{prefix}{name}.")
        else:
            value = "must be there" if field.is_required() else default(field.default)
            yield f"{prefix}{name}", hints[name], value, field.description or ""


def default(value: Any) -> str:
    """Return a default as it is written in TOML; durations are numbers of seconds, sizes of bytes."""
    if isinstance(value, BaseModel):  # one number for each level
        numbers = set(value.model_dump().values())
        value = numbers.pop() or None if len(numbers) == 1 else value
    if value in ((), {}, None):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:d}`"


def type_of(hint: Any) -> str:
    """Return what a value has to be, in words."""
    known = next((words for one, words in TYPES if hint == one), None)
    if known is not None:
        return known
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return type_of(inner[0])
    if origin is Literal:
        return " or ".join(f'`"{one}"`' for one in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_of(one) for one in inner if one is not type(None))
    return "table" if origin is not tuple else f"list of {type_of(inner[0])}".replace("of text", "of texts")


def configuration_page() -> str:
    """Return the page of all options."""
    tables: dict[str, list[str]] = {}
    for name, hint, value, meaning in options(Settings):
        table = name.rpartition(".")[0]
        variable = "EVOX_" + name.replace(".", "__").upper()
        shown = f"`{variable}`" if name not in ("config", "peers") else f"`{variable}__NAME`"
        cells = [f"`{name.rpartition('.')[2]}`", type_of(hint), value, shown, meaning]
        tables.setdefault(table, []).append(_line(*cells))
    parts = [_table(f"[tool.evox{f'.{name}' if name else ''}]", rows) for name, rows in tables.items()]
    said = dict(re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", inspect.getdoc(Intent) or "", re.MULTILINE))
    for title, model in (("[tool.evox.data.intents.NAME]", IntentSettings), ("[tool.evox.peers.NAME]", PeerSettings)):
        rows = []
        for name, hint, value, given in options(model):
            meaning = given or " ".join(said[name].split()).replace("``", "`").removesuffix(".")
            rows.append(_line(f"`{name}`", type_of(hint), value, meaning))
        parts.append(_table(title, rows, variable=False))
    return CONFIGURATION + "\n".join(parts)


def _table(title: str, rows: list[str], *, variable: bool = True) -> str:
    names = ["option", "type", "default", *(["variable"] if variable else []), "meaning"]
    return f"## `{title}`\n\n{_line(*names)}{'|---' * len(names)}|\n{''.join(rows)}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def declared_errors(base: type[EvoxError] = EvoxError) -> Iterator[type[EvoxError]]:
    """Yield every error of our own that has an id."""
    for kind in base.__subclasses__():
        if kind.__module__.startswith("evox."):
            if "id" in vars(kind):
                yield kind
            yield from declared_errors(kind)


def errors_page() -> str:
    """Return the page of all errors."""
    rows = []
    for one in sorted(declared_errors(), key=lambda one: one.id):
        meaning = (one.__doc__ or "").splitlines()[0].replace("``", "`")
        again = "yes" if one.retryable else ""
        rows.append(_line(one.id, f"`{one.__name__}`", f"{one.status}", f"{one.exit_code}", again, meaning))
    return ERRORS + "".join(rows)


def endpoints_page() -> str:
    """Return the page of what each service answers by itself."""
    return ENDPOINTS + "".join(_line(*row) for row in anyio.run(_asked))


async def _asked() -> list[tuple[str, str, str, str]]:
    svc = service("reference").build()
    said = {
        "/health": "how the service is, with its checks and failed background tasks",
        "/health/live": "whether it can do its work, now or after a restart",
        "/health/ready": "whether it takes requests",
        "/health/startup": "whether it has started",
        "/capabilities": "what callers and tools may count on; operations where the documentation is open",
    }
    rows = []
    async with running(svc) as env:
        client = env.client(svc, headers={"accept": "application/json"})
        for path, meaning in [*said.items(), *((view_path(one), SEEN[one]) for one in VIEWS)]:
            response = await client.get(path, headers={"accept": "*/*"} if path.endswith("metrics") else {})
            answer = None if path.endswith("metrics") else response.json()
            members = ", ".join(f"`{name}`" for name in answer) if isinstance(answer, dict) else ""
            shown = members or ("a list" if isinstance(answer, list) else "text")
            rows.append((f"`{path}`", "everybody" if path in said else "who may look", shown, meaning))
    return rows


PAGES: Final = {
    "cli.md": cli_page,
    "configuration.md": configuration_page,
    "errors.md": errors_page,
    "api.md": api_page,
    "endpoints.md": endpoints_page,
    "metrics.md": metrics_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them; return the exit code."""
    stale = []
    for name, make in PAGES.items():
        file, text = FOLDER / name, make()
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote docs/reference/{name}\n")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
