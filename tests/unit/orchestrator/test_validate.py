"""Validate: names, ports and dependencies of services that are to live in one process."""

import pytest

from evox import ServiceBuilder
from evox.errors import DeclarationError, DuplicatePort, DuplicateService, EvoxError, InvalidDeclaration
from evox.orchestrator import assign_ports, start_order, validate
from evox.orchestrator.validation import port_notes


def named(*names: str) -> list[ServiceBuilder]:
    return [ServiceBuilder(name) for name in names]


def order(*services: ServiceBuilder) -> list[str]:
    return [one.name for one in start_order(services)]


def test_services_of_different_names_and_ports_are_valid() -> None:
    validate([ServiceBuilder("a").port(1), ServiceBuilder("b").port(2), ServiceBuilder("c")])


def test_two_services_of_one_name_are_refused_and_both_lines_are_named() -> None:
    with pytest.raises(DuplicateService, match="'a'") as caught:
        validate(named("a", "b", "a"))
    assert str(caught.value).count(__file__) >= 2


def test_names_that_differ_in_dashes_only_are_one_name() -> None:
    with pytest.raises(DuplicateService):
        validate(named("user-service", "user_service"))


def test_one_service_given_twice_is_no_duplicate() -> None:
    one = ServiceBuilder("a").port(8001)
    validate([one, one])


def test_two_services_of_one_port_are_refused() -> None:
    with pytest.raises(DuplicatePort, match="8001"):
        validate([ServiceBuilder("a").port(8001), ServiceBuilder("b").port(8001)])


def test_the_port_that_is_proposed_instead_is_one_that_no_other_has() -> None:
    with pytest.raises(DuplicatePort) as caught:
        validate([ServiceBuilder("a").port(8001), ServiceBuilder("b").port(8001), ServiceBuilder("c").port(8002)])
    assert 'service("b").port(8003)' in caught.value.fix


def test_two_services_that_take_a_free_port_are_valid() -> None:
    validate([ServiceBuilder("a").port(0), ServiceBuilder("b").port(0)])


def test_under_the_gateway_ports_do_not_matter() -> None:
    validate([ServiceBuilder("a").port(8001), ServiceBuilder("b").port(8001)], gateway=True)


def test_what_an_endpoint_got_wrong_is_found() -> None:
    one = ServiceBuilder("a")

    @one.get("/")
    async def first() -> None: ...

    @one.get("/")
    async def second() -> None: ...

    with pytest.raises(DeclarationError, match="GET /"):
        validate([one])


def test_R3_services_start_in_the_order_given_where_nothing_depends() -> None:
    assert order(*named("b", "a", "c")) == ["b", "a", "c"]


def test_R3_a_service_starts_after_those_it_depends_on() -> None:
    a = ServiceBuilder("a").depends_on("b", "c")
    b = ServiceBuilder("b").depends_on("d")
    assert order(a, b, *named("c", "d")) == ["d", "b", "c", "a"]


def test_R3_a_dependency_that_two_share_starts_once() -> None:
    a, b = ServiceBuilder("a").depends_on("c"), ServiceBuilder("b").depends_on("c")
    assert order(a, b, ServiceBuilder("c")) == ["c", "a", "b"]


def test_an_unknown_dependency_is_refused_and_those_that_exist_are_named() -> None:
    with pytest.raises(InvalidDeclaration, match="stock") as caught:
        start_order([ServiceBuilder("a").depends_on("stock"), ServiceBuilder("b")])
    assert "a, b" in caught.value.why


def test_dependencies_in_a_circle_are_refused_and_the_circle_is_shown() -> None:
    services = [
        ServiceBuilder("a").depends_on("b"),
        ServiceBuilder("b").depends_on("c"),
        ServiceBuilder("c").depends_on("b"),
    ]
    with pytest.raises(InvalidDeclaration) as caught:
        start_order(services)
    assert "b -> c -> b" in caught.value.why


def test_a_service_that_depends_on_itself_is_refused() -> None:
    with pytest.raises(InvalidDeclaration):
        start_order([ServiceBuilder("a").depends_on("a")])


def test_services_get_their_own_port_or_the_next_free_number() -> None:
    services = [ServiceBuilder("a"), ServiceBuilder("b").port(8001), ServiceBuilder("c"), ServiceBuilder("d")]
    assert assign_ports(services, 8000) == {"a": 8000, "b": 8001, "c": 8002, "d": 8003}


def test_a_service_that_asks_for_a_free_port_keeps_asking() -> None:
    assert assign_ports([ServiceBuilder("a").port(0), ServiceBuilder("b")], 8000) == {"a": 0, "b": 8000}


def test_a_port_from_the_command_line_is_the_one_services_own() -> None:
    assert assign_ports([ServiceBuilder("a").port(8001)], 8000, only=9000) == {"a": 9000}


def test_port_0_from_the_command_line_gives_every_service_without_one_a_free_port() -> None:
    services = [ServiceBuilder("a"), ServiceBuilder("b"), ServiceBuilder("c").port(8001)]
    assert assign_ports(services, 8000, only=0) == {"a": 0, "b": 0, "c": 8001}


def test_a_port_from_the_command_line_is_where_counting_starts_for_several() -> None:
    services = [ServiceBuilder("a"), ServiceBuilder("b").port(9000), ServiceBuilder("c")]
    assert assign_ports(services, 8000, only=9000) == {"a": 9001, "b": 9000, "c": 9002}


def test_no_port_above_65535_is_given_out() -> None:
    try:
        ports = assign_ports(named("a", "b"), 65535)
    except EvoxError:
        return
    assert max(ports.values()) <= 65535


def test_a_port_that_services_do_not_take_is_noted() -> None:
    """What broke: with the second service of a project ``--port`` meant nothing any more, and nobody said so."""
    both = [ServiceBuilder("users").port(8001), ServiceBuilder("orders").port(8002)]
    (note,) = port_notes(both, 23100, gateway=False)
    assert note == "--port 23100 is for services without a port of their own; users, orders declare one"
    assert port_notes(both, 23100, gateway=True) == []
    assert port_notes(both, None, gateway=False) == []
    assert port_notes(both[:1], 23100, gateway=False) == []
    assert port_notes([ServiceBuilder("a"), ServiceBuilder("b")], 23100, gateway=False) == []
