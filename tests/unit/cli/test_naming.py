"""Names: their forms, and which cannot be used and why."""

import keyword
import sys
from pathlib import Path

import pytest

from evox.cli.scaffold import naming
from evox.cli.scaffold.naming import LONGEST, Names, project_names, service_names
from evox.errors import UnusableName


def why(name: str, root: Path) -> str:
    """Return why a service cannot have a name, and what to do."""
    with pytest.raises(UnusableName) as caught:
        service_names(name, root)
    return f"{caught.value.why}; {caught.value.fix}"


@pytest.mark.parametrize(
    ("given", "package", "noun", "kind", "path"),
    [
        ("users", "users", "user", "User", "/users"),
        ("order-items", "order_items", "order_item", "OrderItem", "/order-items"),
        ("order_items", "order_items", "order_item", "OrderItem", "/order-items"),
        ("user_svc", "user_svc", "user", "User", "/user"),
        ("user-service", "user_service", "user", "User", "/user"),
        ("users2", "users2", "users2", "Users2", "/users2"),
        ("categories", "categories", "category", "Category", "/categories"),
        ("addresses", "addresses", "address", "Address", "/addresses"),
        ("caches", "caches", "cache", "Cache", "/caches"),
        ("status", "status", "status", "Status", "/status"),
        ("a", "a", "a", "A", "/a"),
        ("svc", "svc", "svc", "Svc", "/svc"),
    ],
)
def test_a_name_has_a_form_for_each_use(
    given: str, package: str, noun: str, kind: str, path: str, tmp_path: Path
) -> None:
    made = service_names(given, tmp_path)
    assert made == Names(given, package.replace("_", "-"), package, noun, kind, path)
    assert made.package.isidentifier()
    assert made.package.islower()


@pytest.mark.parametrize("name", ["exceptions", "base-models", "fields", "nones", "services", "controllers", "lists"])
def test_a_class_never_has_the_name_of_what_stands_beside_it(name: str, tmp_path: Path) -> None:
    kind = service_names(name, tmp_path).kind
    assert kind not in naming._TAKEN
    assert not keyword.iskeyword(kind)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("OrderItems", "order-items"),
        ("order items", "order-items"),
        ("order__items", "order-items"),
        ("-users", "users"),
        ("users_", "users"),
        ("2users", "users"),
        ("shop/users", "shop-users"),
        ("Café", "caf"),
        ("", ""),
        ("..", ""),
        ("ελ", ""),
    ],
)
def test_what_is_no_name_is_refused_and_one_that_is_near_is_proposed(name: str, instead: str, tmp_path: Path) -> None:
    assert why(name, tmp_path).endswith(f"; write {instead!r} instead" if instead else "order_items")
    with pytest.raises(UnusableName):
        project_names(name)


@pytest.mark.parametrize("name", sorted(keyword.kwlist))
def test_no_word_of_python_is_a_name(name: str, tmp_path: Path) -> None:
    assert why(name, tmp_path)


@pytest.mark.parametrize("name", ["json", "queue", "email", "site", "types"])
def test_no_module_of_python_is_hidden(name: str, tmp_path: Path) -> None:
    assert name in sys.stdlib_module_names
    assert "Python has a module" in why(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("evox", "Evox itself"),
        ("evox-framework", "Evox itself"),
        ("fastapi", "services import"),
        ("pydantic", "services import"),
        ("test", "means something else"),
        ("tests", "means something else"),
        ("src", "means something else"),
        ("build", "does not look"),
        ("node-modules", "does not look"),
        ("venv", "does not look"),
        ("jinja2", "is installed"),
        ("health", "answers /health itself"),
        ("health-svc", "answers /health itself"),
        ("docs", "answers /docs itself"),
        ("u" * (LONGEST + 1), f"{LONGEST} are the most"),
    ],
)
def test_a_name_that_means_something_already_is_refused_with_the_reason(name: str, says: str, tmp_path: Path) -> None:
    assert says in why(name, tmp_path)


def test_a_folder_of_the_project_itself_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert service_names("orders", tmp_path).package == "orders"
    assert "is installed" in why("orders", tmp_path / "elsewhere")


def test_a_folder_that_happens_to_lie_on_the_path_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert service_names("orders", tmp_path / "elsewhere").package == "orders"
