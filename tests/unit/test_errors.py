"""Errors: the tree drawn in the docstring is the tree of classes, and each error says what, why and what to do."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

import pytest

from evox import errors
from evox.errors import EvoxError, Place, UnknownOption, place_of

HERE = Place("services.py", 12)
BAD = ValueError("the real error")
SAMPLES: list[EvoxError] = [
    errors.UnknownOption("drain_dely", source="evox.toml", known=["drain_delay"], place=HERE),
    errors.InvalidOption("port", source="evox.toml", why="too large", place=HERE),
    errors.UnreadableConfiguration("evox.toml", BAD),
    errors.DuplicateService("users", [HERE, Place("other.py", 3)]),
    errors.DuplicatePort(8001, ["users", "items"], HERE, free=8002),
    errors.NoService("app.py", place=HERE),
    errors.AmbiguousEndpoint("read", "app", ["users", "items"], HERE),
    errors.UnbindableParameter("read", "no field", HERE),
    errors.DuplicateEndpoint("GET", "/", ["read", "other"], [HERE, None]),
    errors.InvalidDeclaration("interval", 0, on="background task 'sweep'", why="no pause", place=HERE),
    errors.LateDeclaration("startup hook 'connect'", "users", HERE),
    errors.NotInjectable("Repository", "no provider", HERE),
    errors.TargetNotFound("ap.py"),
    errors.ImportFailed("app", BAD, HERE),
    errors.MissingPrerequisite("uv.lock", "anyio is 4.12, and 4.13 is locked", fix="run uv sync"),
    errors.NothingToSee(),
    errors.NothingToOperate("/shop", ["/other"]),
    errors.OperatorRefused(7, "it wants another operator token"),
    errors.CannotWrite("reports", "it is a folder"),
    errors.UnusableName("class", "it is a word of Python's own"),
    errors.FilesInTheWay(["shop/README.md", "shop/pyproject.toml"]),
    errors.NoProject("/home/ada"),
    errors.StartupFailed("users", "startup hook 'connect'", BAD, HERE),
    errors.StartupTimeout("users", "startup hook 'connect'", 30.0, HERE),
    errors.AsyncioOnly("startup hook 'connect'", BAD, HERE),
    errors.ServiceGivenUp("users", 6, 60.0, BAD),
    errors.PortInUse("127.0.0.1", 8001, "users"),
    errors.CannotBind("10.0.0.1", 8001, "users", OSError(99, "Cannot assign requested address")),
    errors.OutsideRuntime("inject(Repository)"),
    errors.ServiceUnavailable("users", "DRAINING"),
    errors.Overloaded("low", "queue_full", "service 'users'", 2.0),
    errors.TooManyRequests("high", 3, 1.0),
    errors.DeadlineExceeded("'get_user'", began=True),
    errors.IdempotencyConflict("'pay'"),
    errors.IdempotencyMismatch("'pay'"),
    errors.InvalidIdempotencyKey("it is empty"),
    errors.Escaped("GET /", SystemExit(3)),
    errors.MissingExtra("backend postgresql://", "postgres"),
    errors.BackendRefused("postgresql://ada:***@db/shop", "password authentication failed"),
    errors.UnsupportedSchema("sqlite:///shop.db", 2, 1),
    errors.BackendUnavailable("valkey://cache:6379", "connection refused"),
    errors.WriteOutcomeUnknown("valkey://cache:6379", "user:1", "it did not answer within 5 s"),
    errors.CapacityExceeded("memory", "100 records take all of it", fix="raise memory_bytes"),
    errors.InvalidKey(7, "it is int, and a key is a text", fix="write str(id)"),
    errors.UnserializableValue("a socket", "JSON has no such thing", fix="store something else"),
    errors.ValueTooLarge("user:1", 2_000_000, 1_048_576),
    errors.CorruptValue("user:1", "its checksum does not fit"),
    errors.RecursiveLoader("user:1"),
    errors.SourceTimeout("user:1", 2.0),
    errors.TransactionAborted("postgresql://host/db", "a statement in it failed"),
    errors.InsideTransaction("sqlite"),
    errors.TransactionLost("sqlite"),
    errors.MigrationRefused("0002_a.sql was changed", "it was applied before", fix="put it back"),
    errors.MigrationFailed("0002_a.sql", "no such table: person", place=HERE),
    errors.MigrationsLocked("sqlite:///shop.db", "another evox sync db is running", 30.0),
    errors.UnusableKey("keys/current.json", "it does not parse"),
    errors.MissingKeys(["endpoint 'delete_user'", "endpoint 'update_user'"]),
    errors.NotAuthenticated("endpoint 'me'"),
    errors.MalformedToken("it is no text"),
    errors.UnacceptableHeader("it has the member 'crit'"),
    errors.UnknownKey("2026-11"),
    errors.WrongSignature(),
    errors.TokenExpired(12.0),
    errors.NotAllowed("endpoint 'me'", "it wants admin"),
    errors.KeysUnavailable("https://issuer.example/jwks.json", "they could not be fetched"),
    errors.CannotIssue("the keys here are public keys", "have the issuer issue it"),
    errors.UnknownService("user_svc", ["users", "items"]),
    errors.UnknownOperation("users", "get_usr", ["get_user", "list_users"], HERE),
    errors.AmbiguousOperation("users.user", ["GET /a", "GET /b"], fix="give one of them a name"),
    errors.InvalidCall("users.get_user", "user_id is missing"),
    errors.RegistryUnavailable("valkey://***@registry:6379/0", "users", "it did not answer within 5 s"),
    errors.CallInvalid("users", "get_user", code=422, detail=[{"loc": ["path", "user_id"], "msg": "not a number"}]),
    errors.CallDenied("users", "get_user", code=403),
    errors.CallNotFound("users", "get_user", code=404, detail="no such user"),
    errors.CallRefused("users", "get_user", code=409, detail="taken"),
    errors.CallFailed("users", "get_user", code=500),
    errors.UnusableAnswer("users", "get_user", code=200, why="it is no JSON"),
    errors.CallUnavailable("users", "get_user", code=503, attempts=3),
    errors.CircuitOpen("users", "get_user", why="5 of the last 10 calls failed"),
    errors.CallTimeout("users", "get_user", why="10 s were over"),
]
every_sample = pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)


@dataclass(frozen=True)
class Drawn:
    """One line of the drawing."""

    name: str
    parent: str | None
    text: str

    @property
    def id(self) -> str | None:
        found = re.search(r"EVX-\d{3}", self.text)
        return found[0] if found else None

    @property
    def exit_code(self) -> int | None:
        found = re.search(r"exit (\d+)", self.text)
        return int(found[1]) if found else None


def drawing() -> dict[str, Drawn]:
    lines: dict[str, Drawn] = {}
    above: list[str] = []
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        found = re.fullmatch(r"((?:\|  |   )*)(\|- |`- )?([A-Z]\w+)  +(.*)|((?:\|  |   )*)(\|- |`- )([A-Z]\w+)", line)
        if found is None:
            continue
        indent, branch, name = (found[1], found[2], found[3]) if found[3] else (found[5], found[6], found[7])
        depth = len(indent) // 3 + (1 if branch else 0)
        del above[depth:]
        lines[name] = Drawn(name, above[-1] if above else None, found[4] or "")
        above.append(name)
    return lines


def classes() -> dict[str, type[EvoxError]]:
    return {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, EvoxError)}


def test_the_drawing_holds_every_error_and_no_other() -> None:
    assert set(drawing()) == set(classes())


@pytest.mark.parametrize("name", sorted(classes()))
def test_an_error_hangs_where_the_drawing_shows_it(name: str) -> None:
    bases = [base.__name__ for base in classes()[name].__bases__ if issubclass(base, EvoxError)]
    assert bases == ([drawing()[name].parent] if name != "EvoxError" else [])


@pytest.mark.parametrize("name", sorted(classes()))
def test_an_error_has_the_id_and_the_exit_code_that_are_drawn(name: str) -> None:
    kind, drawn = classes()[name], drawing()[name]
    inherited = drawn
    while inherited.exit_code is None and inherited.parent is not None:
        inherited = drawing()[inherited.parent]
    if drawn.id is not None:
        assert kind.id == drawn.id
    if inherited.exit_code is not None:
        assert kind.exit_code == inherited.exit_code


def test_ids_are_unique_and_only_branches_of_the_tree_have_none() -> None:
    own = [kind.id for kind in classes().values() if "id" in vars(kind)]
    leaves = {kind for kind in classes().values() if not kind.__subclasses__()}
    assert len(own) == len(set(own))
    assert all("id" in vars(kind) for kind in leaves)


def test_all_is_sorted_and_names_every_error() -> None:
    assert sorted(errors.__all__) == list(errors.__all__)
    assert set(errors.__all__) == {*classes(), "Place", "place_of"}


@pytest.mark.parametrize("kind", list(classes().values()), ids=lambda kind: kind.__name__)
def test_exit_codes_are_those_that_are_published(kind: type[EvoxError]) -> None:
    assert kind.exit_code in {1, 2, 69, 70, 78}


def test_every_error_that_can_be_raised_has_a_sample_here() -> None:
    leaves = {kind for kind in classes().values() if not kind.__subclasses__()}
    raised_too = {errors.CallFailed, errors.CallUnavailable}  # they have subclasses, and stand for the rest
    assert {type(sample) for sample in SAMPLES} == leaves | raised_too


@every_sample
def test_an_error_says_what_why_and_what_to_do(error: EvoxError) -> None:
    assert all((error.what, error.why, error.fix))
    assert not error.what.endswith(".")
    assert "\n" not in error.what


@every_sample
def test_an_error_as_text_begins_with_its_id_and_holds_all_it_says(error: EvoxError) -> None:
    first, *rest = str(error).splitlines()
    assert first == f"{error.id}: {error.what}"
    assert rest[:2] == [f"  why: {error.why}", f"  fix: {error.fix}"]
    assert rest[2:] == ([f"  at:  {error.place}"] if error.place else [])


def test_only_what_may_succeed_later_invites_a_retry() -> None:
    inviting = {type(error).__name__: error.status for error in SAMPLES if error.retryable or error.status != 500}
    assert inviting == {
        "ServiceUnavailable": 503,
        "Overloaded": 503,
        "TooManyRequests": 429,
        "DeadlineExceeded": 504,
        "IdempotencyConflict": 409,
        "IdempotencyMismatch": 422,
        "InvalidIdempotencyKey": 400,
        "BackendUnavailable": 503,
        "WriteOutcomeUnknown": 503,
        "CapacityExceeded": 507,
        "ValueTooLarge": 507,
        "SourceTimeout": 504,
        "NotAuthenticated": 401,
        "MalformedToken": 401,
        "UnacceptableHeader": 401,
        "UnknownKey": 401,
        "WrongSignature": 401,
        "TokenExpired": 401,
        "NotAllowed": 403,
        "KeysUnavailable": 503,
        "RegistryUnavailable": 503,
        "CallInvalid": 502,
        "CallDenied": 502,
        "CallNotFound": 502,
        "CallRefused": 502,
        "CallFailed": 502,
        "UnusableAnswer": 502,
        "CallUnavailable": 503,
        "CircuitOpen": 503,
        "CallTimeout": 504,
    }


@pytest.mark.parametrize(
    ("kind", "builtin"), [(errors.InvalidDeclaration, ValueError), (errors.OutsideRuntime, RuntimeError)]
)
def test_errors_that_python_has_a_word_for_are_that_too(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("option", ["drain_dely", "serving.drain_dely"])
def test_an_unknown_option_close_to_a_known_one_is_corrected(option: str) -> None:
    assert UnknownOption(option, source="x", known=["backlog", "drain_delay"]).fix == "write 'drain_delay' instead"


def test_an_unknown_option_like_nothing_known_lists_what_there_is() -> None:
    assert UnknownOption("zzz", source="x", known=["b", "a"]).fix == "remove it, or use one of: a, b"


@pytest.mark.parametrize(("place", "text"), [(Place("a.py", 3), "a.py:3"), (Place("a.py"), "a.py")])
def test_a_place_reads_as_file_and_line(place: Place, text: str) -> None:
    assert str(place) == text


def test_a_function_is_placed_where_it_is_written_even_behind_a_decorator() -> None:
    import functools

    def function() -> None: ...

    @functools.wraps(function)
    def wrapper() -> None: ...

    expected = Place(__file__, function.__code__.co_firstlineno)
    assert (place_of(function), place_of(wrapper)) == (expected, expected)


@pytest.mark.parametrize("target", [len, 5, None])
def test_what_python_cannot_place_has_no_place(target: Any) -> None:
    assert place_of(target) is None


def test_a_refused_database_is_not_told_to_be_the_backend() -> None:
    # What broke: `evox sync db` with a wrong password in `database = ...` said to correct `backend = ...`.
    assert "backend =" not in errors.BackendRefused("postgresql://me:***@h/shop", "wrong password").fix
