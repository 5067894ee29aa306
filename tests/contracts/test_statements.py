"""What a statement of ``inject.db()`` means: the same over SQLite and PostgreSQL, with values and without."""

from pathlib import Path
from typing import Any

import pytest
from tests.contracts.test_database import opened

from evox.data.backends.placeholders import translated

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
SHOWN = [
    ("'50% off'", "50% off"),
    ("'100%% wool, %s, %(no)s'", "100%% wool, %s, %(no)s"),
    ("'it''s 5%'", "it's 5%"),
    ("7 % 4", 3),
    ("7 /* 50% */ % 4 -- 50%\n", 3),
    ("CASE WHEN 'a%b' LIKE 'a%' THEN 1 ELSE 0 END", 1),
    ("CASE WHEN 'abc' LIKE 'a%b' THEN 1 ELSE 0 END", 0),
    ("CASE WHEN 'a%b' LIKE 'a!%b' ESCAPE '!' THEN 1 ELSE 0 END", 1),
]


@KINDS
@pytest.mark.parametrize(("sql", "meant"), SHOWN)
async def test_a_percent_sign_is_one_with_values_and_without(kind: str, tmp_path: Path, sql: str, meant: Any) -> None:
    # Without values each % was doubled on PostgreSQL: what was stored had two, and a remainder was an error.
    async with opened(kind, tmp_path) as db:
        assert await db.fetch_one(f'SELECT {sql} AS "5%"') == {"5%": meant}
        assert await db.fetch_one(f'SELECT {sql} AS "5%"', {}) == {"5%": meant}
        assert await db.fetch_one(f'SELECT {sql} AS "5%" FROM person WHERE id = ?', 1) == {"5%": meant}
        assert await db.fetch_one(f'SELECT {sql} AS "5%" FROM person WHERE id = :id', id=1) == {"5%": meant}
        await db.execute(f"INSERT INTO person SELECT 5, {sql}")
        assert await db.fetch_one("SELECT name FROM person WHERE id = 5") == {"name": str(meant)}


@pytest.mark.parametrize(
    ("sql", "meant"),
    [
        ("$$50% ? :no$$", "50% ? :no"),
        ("$a$50% $$ ? :no$a$", "50% $$ ? :no"),
        (r"E'it\'s 5% ? :no'", "it's 5% ? :no"),
        ("/* a /* 5% */ ? */ 7 % 4", 3),
        ("'7%'::text", "7%"),
    ],
)
async def test_what_only_postgresql_can_say_has_its_percent_signs_too(tmp_path: Path, sql: str, meant: Any) -> None:
    async with opened("postgresql", tmp_path) as db:
        assert await db.fetch_one(f"SELECT {sql} AS a") == {"a": meant}
        assert await db.fetch_one(f"SELECT {sql} AS a FROM person WHERE id = ?", 1) == {"a": meant}


@KINDS
@pytest.mark.parametrize("sql", ["SELECT name FROM person WHERE id = ?", "SELECT name FROM person WHERE id = :id"])
async def test_a_statement_whose_values_are_missing_is_an_error(kind: str, tmp_path: Path, sql: str) -> None:
    async with opened(kind, tmp_path) as db:
        with pytest.raises(Exception, match=r"(?i)bind|param|placeholder"):
            await db.fetch_one(sql)


@pytest.mark.parametrize(
    ("sql", "driver"),
    [
        ("SELECT ?, :a, a::int", "SELECT %s, %(a)s, a::int"),
        ("SELECT a ?? 'b'", "SELECT a ? 'b'"),
        ("SELECT \"?%\", '?%' -- ?", "SELECT \"?%%\", '?%%' -- ?"),
        ("SELECT price$$, ?, name$$", "SELECT price$$, %s, name$$"),
        (r"SELECT 'a\', ?", r"SELECT 'a\', %s"),
        (r"SELECT E'a\', ?'", r"SELECT E'a\', ?'"),
    ],
)
def test_only_what_stands_in_the_statement_itself_is_a_placeholder(sql: str, driver: str) -> None:
    assert translated(sql) == driver


def test_a_comment_that_does_not_end_is_read_in_no_time() -> None:
    sql = "/* " + "/* */" * 1000
    assert translated(sql) == sql
