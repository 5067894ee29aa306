"""Statements that are put together, with whatever may stand between them, come apart as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evox.data.migrations import statements_of

BOTH = [
    "SELECT 1",
    "INSERT INTO t VALUES ('a;b', 'it''s', '--', '/*')",
    'CREATE TABLE "a;""b" (x int)',
    "SELECT 1 -- a; b's\n + 2",
    "SELECT /* ; ' */ 1",
    "UPDATE t SET x = CASE WHEN x THEN 1 ELSE 2 END",
]
OWN = {
    "sqlite": [
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT CASE WHEN 1 THEN ';' END; END",
        "SELECT [a;b], `c;d`",
    ],
    "postgresql": [
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $x$ BEGIN RETURN ';'; -- it's\nEND $x$",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END",
        "CREATE RULE r AS ON UPDATE TO t DO ALSO (SELECT 1; SELECT ')')",
        r"SELECT E'\';', $$;'$$, $a$;$$;$a$",
        "SELECT /* ; /* ; */ ; */ 1",
    ],
}
between = st.sampled_from(["", " ", "\n", "\n\n\t", "-- a; comment's\n", "/* a; comment's */", ";", " ;\n"])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@given(data=st.data())
def test_statements_that_are_put_together_come_apart_as_they_were(kind: str, data: st.DataObject) -> None:
    known = st.sampled_from([*BOTH, *OWN[kind]])
    parts = data.draw(st.lists(st.tuples(st.lists(between, max_size=3), known), max_size=6))
    text, places = "", []
    for gap, statement in parts:
        text += "".join(gap)
        places.append(text.count("\n") + 1)
        text += f"{statement};"
    found = statements_of(text + "".join(data.draw(st.lists(between, max_size=3))), kind)
    assert [one.sql for one in found] == [f"{statement};" for _, statement in parts]
    assert [one.line for one in found] == places


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@given(text=st.text(alphabet=st.sampled_from("aE1$'\"`[]();-/* \n\\"), max_size=60))
def test_no_text_is_lost_whatever_it_is(kind: str, text: str) -> None:
    position = 0
    for one in statements_of(text, kind):
        found = text.find(one.sql, position)
        assert found >= 0
        assert one.line == text.count("\n", 0, found) + 1
        position = found + len(one.sql)
