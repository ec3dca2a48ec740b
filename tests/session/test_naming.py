from napari_medseg.annotation import default_classes
from napari_medseg.session.naming import merged_classes


def names(classes):
    return {c.value: c.name for c in classes}


def test_a_file_names_the_classes_of_a_fresh_session():
    classes, notes = merged_classes(default_classes(["Organ", "Other"]), default_classes(["Liver"]), used=set())
    assert names(classes) == {1: "Liver"}
    assert not notes


def test_what_is_in_use_keeps_its_name_and_the_difference_is_said():
    classes, notes = merged_classes(default_classes(["Tumour"]), default_classes(["Liver", "Spleen"]), used={1})
    assert names(classes) == {1: "Tumour", 2: "Spleen"}
    assert notes == ["label 1 is Tumour here, Liver in the file"]


def test_the_same_name_in_other_letters_is_no_difference():
    classes, notes = merged_classes(default_classes(["liver"]), default_classes(["Liver"]), used={1})
    assert names(classes) == {1: "liver"}
    assert not notes


def test_a_file_without_names_changes_nothing():
    known = default_classes(["Organ"])
    assert merged_classes(known, (), used=set()) == (list(known), [])
