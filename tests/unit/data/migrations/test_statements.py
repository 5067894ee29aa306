"""Statements: where one ends and the next begins, in both databases' SQL."""

import time

import pytest

from evox.data.migrations import statements_of

BOTH = ("sqlite", "postgresql")
TRIGGER = """CREATE TRIGGER seen AFTER INSERT ON person BEGIN
  UPDATE counter SET n = n + 1;
  INSERT INTO log VALUES ('a;b');
END"""
FUNCTION = """CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM $$a;b$$; -- it's
  RETURN 1;
END $body$"""
ATOMIC = """CREATE FUNCTION g(n int) RETURNS int BEGIN ATOMIC
  SELECT CASE WHEN n > 0 THEN 1 ELSE 2 END;
  SELECT 2;
END"""


def cut(text: str, kind: str) -> list[str]:
    return [one.sql for one in statements_of(text, kind)]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "one",
    [
        "INSERT INTO t VALUES ('a;b')",
        "INSERT INTO t VALUES ('it''s; -- no comment')",
        'CREATE TABLE "a;b" (x int)',
        'CREATE TABLE "a"";b" (x int)',
        "SELECT 1 -- ; no end\n + 1",
        "SELECT /* ; no end */ 1",
        "SELECT '/*' , '*/'",
        "SELECT 'a\nb;\nc'",
    ],
)
def test_a_semicolon_in_quotes_or_a_comment_ends_nothing(kind: str, one: str) -> None:
    assert cut(f"{one};\nSELECT 2;\n", kind) == [f"{one};", "SELECT 2;"]
    assert cut(f"SELECT 2;{one}", kind) == ["SELECT 2;", one]


@pytest.mark.parametrize(
    ("kind", "one"),
    [
        ("sqlite", TRIGGER),
        ("sqlite", TRIGGER.replace("TRIGGER", "TEMP TRIGGER", 1)),
        ("sqlite", "SELECT `a;b`, [c;d]"),
        ("sqlite", "SELECT '\\'"),
        ("sqlite", "SELECT CASE WHEN 1 THEN 2 END"),
        ("postgresql", FUNCTION),
        ("postgresql", ATOMIC),
        ("postgresql", "DO $$ BEGIN RAISE NOTICE 'x;'; END $$"),
        ("postgresql", r"SELECT E'it\'s; one', 'back\'"),
        ("postgresql", "SELECT /* a /* ; */ ; */ 1"),
        ("postgresql", "SELECT name$1$x FROM t"),
        ("postgresql", "SELECT $é$;$é$, $a$ $b$ ; $a$"),
        ("postgresql", "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)"),
        ("postgresql", 'CREATE TABLE begins ("end" int, begin_at int)'),
    ],
)
def test_what_only_one_of_them_has_stays_whole(kind: str, one: str) -> None:
    assert cut(f"{one};\n\nSELECT 2;", kind) == [f"{one};", "SELECT 2;"]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("text", ["", "\n \t", "-- nothing\n", "/* nothing */", ";;\n;", "-- a\n;/* b */;"])
def test_what_says_nothing_is_no_statement(kind: str, text: str) -> None:
    assert statements_of(text, kind) == []


@pytest.mark.parametrize("kind", BOTH)
def test_a_statement_knows_the_line_of_its_first_word(kind: str) -> None:
    text = "-- why\n\n/* a\n b */ SELECT 1;\n;\n  -- c\n\nSELECT\n2; SELECT 3\n"
    assert [(one.line, one.sql) for one in statements_of(text, kind)] == [
        (4, "SELECT 1;"),
        (8, "SELECT\n2;"),
        (9, "SELECT 3\n"),
    ]


@pytest.mark.parametrize("kind", BOTH)
def test_what_a_statement_is_can_be_seen_without_comments_and_quotes(kind: str) -> None:
    (one,) = statements_of("/* COMMIT */ create -- x\n  index  i\nON t ('COMMIT')", kind)
    assert one.bare == "create index i ON t ('')"


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("text", ["SELECT 'never closed; SELECT 2;", "SELECT 1 /* never; ", 'SELECT "never;'])
def test_what_is_never_closed_is_one_statement_to_the_end(kind: str, text: str) -> None:
    assert cut(text, kind) == [text]


@pytest.mark.parametrize("kind", BOTH)
def test_a_large_file_takes_no_time(kind: str) -> None:
    assert len(statements_of("INSERT INTO t VALUES ('a;b''c', 1); -- x\n" * 20_000, kind)) == 20_000
    assert len(statements_of("INSERT INTO t VALUES ('" + "a;''b" * 200_000 + "');", kind)) == 1


@pytest.mark.parametrize("kind", BOTH)
def test_the_line_of_a_statement_costs_as_much_at_the_end_of_a_large_file_as_at_its_beginning(kind: str) -> None:
    # Lines were counted from the beginning of the file for each: 5 MB of INSERT took minutes before the first was run.
    began = time.process_time()
    found = statements_of(f"INSERT INTO t VALUES (1, '{'x' * 60}');\n" * 60_000, kind)
    assert time.process_time() - began < 8
    assert [one.line for one in found] == list(range(1, 60_001))
