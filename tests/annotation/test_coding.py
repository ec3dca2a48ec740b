"""Classes come back from JSON as they went in, and what is no class is said."""

import pytest

from napari_medseg.annotation import Code, LabelClass, classes_from_json, classes_to_json, default_classes
from napari_medseg.errors import InvalidInputError


def test_names_colours_and_codes_come_back():
    classes = (LabelClass(3, "Łeber \"quer\"\n", (0.1, 0.25, 1.0), Code("10200004", "SCT", "Liver")), *default_classes(["a", "b"]))
    text = classes_to_json(classes)
    assert text.isascii()
    assert "\n" not in text
    assert classes_from_json(text) == classes
    assert classes_from_json(text.encode()) == classes
    assert classes_from_json("[]") == ()


@pytest.mark.parametrize(("text", "said"), [
    ("[", "no JSON"),
    (b"\xff\xfe\xfa", "no JSON"),
    ("[" * 100_000, "no JSON"),
    ("{}", "no list"),
    ("[3]", "no object"),
    ('[{"value": true, "name": "a", "colour": [0, 0, 0]}]', "whole number"),
    ('[{"value": 1, "name": 7, "colour": [0, 0, 0]}]', "without a name"),
    ('[{"value": 1, "name": " ", "colour": [0, 0, 0]}]', "no name"),
    ('[{"value": 255, "name": "a", "colour": [0, 0, 0]}]', "255 is no class"),
    ('[{"value": 1, "name": "a", "colour": [0, 0]}]', "no colour"),
    ('[{"value": 1, "name": "a", "colour": [0, 0, NaN]}]', "no colour"),
    ('[{"value": 1, "name": "a", "colour": [0, 0, 1%s]}]' % ("0" * 400), "colour"),
    ('[{"value": 1, "name": "a", "colour": [0, 0, 0], "code": {"value": 1}}]', "code"),
    ('[{"value": 1, "name": "a", "colour": [0, 0, 0]}, {"value": 1, "name": "b", "colour": [0, 0, 0]}]', "class 1 twice"),
])
def test_what_is_no_class_is_said(text, said):
    with pytest.raises(InvalidInputError, match=f"schema.json: .*{said}"):
        classes_from_json(text, where="schema.json")
