"""Fields: whatever another process sends is cut to size, or refused with its place."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from evox.observe.fields import ITEMS, LARGEST, Count, Few, Number, Said, Some, Text
from evox.observe.legible import TEXT


class Form(BaseModel):
    text: Text = ""
    texts: Some[Text] = []
    few: Few[Count] = {}
    count: Count = 0
    number: Number = 0.0
    said: Few[Said] = {}


def test_what_is_too_much_is_left_out() -> None:
    form = Form.model_validate(
        {"text": "x" * 10_000, "texts": ["y"] * 5_000, "few": {str(number): 1 for number in range(5_000)}}
    )
    assert len(form.text) == TEXT
    assert len(form.texts) == len(form.few) == ITEMS


@pytest.mark.parametrize("value", [10**4_000, -(10**4_000), 2**63, 7])
def test_a_count_ends_at_its_bounds(value: int) -> None:
    assert abs(Form(count=value).count) <= LARGEST
    float(Form(count=value).count)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (1.5, "1.5"), (None, "None"), (["a", {"deep": {}}], "a, ..."), ({"a": {}}, "...")],
)
def test_what_may_be_of_any_form_is_a_text(value: Any, text: str) -> None:
    assert Form.model_validate({"said": {"it": value}}).said == {"it": text}


@pytest.mark.parametrize("wrong", [{"number": float("inf")}, {"count": "many"}, {"texts": "x"}, {"few": [1]}])
def test_what_is_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Form.model_validate(wrong)
