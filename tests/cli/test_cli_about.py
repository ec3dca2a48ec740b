"""Help, catalogue and doctor: the product about itself."""

import pytest


@pytest.mark.parametrize("command", [["segment"], ["refine"], ["refine-sets"], ["propose"], ["info"], ["convert"], ["measure"], ["catalogue"], ["doctor"],
                                     ["demo"], ["window"], ["report"], ["weak", "levelset"], ["weak", "scribble"], ["weak", "interpolate"],
                                     ["weak", "cleanup"]])
def test_every_command_shows_an_example(medseg, command):
    done = medseg(*command, "--help")
    assert done.code == 0
    assert f"Example: medseg {' '.join(command)}" in done.out
    assert "--json" in done.out


def test_the_catalogue_lists_every_part_with_what_is_missing(medseg):
    entries = {e["id"]: e for e in medseg("catalogue", "--json").answer["entries"]}
    assert entries["levelset"]["available"]
    assert entries["unet"]["needs"] == []
    assert set(entries["deepbet"]) >= {"id", "kind", "available", "needs", "licence"}
    if not entries["deepbet"]["available"]:
        assert "pip install" in entries["deepbet"]["install"]


def test_the_doctor_checks_what_is_needed(medseg):
    answer = medseg("doctor", "--json").answer
    assert answer["ok"] is True
    names = {check["name"] for check in answer["checks"]}
    assert {"python", "torch", "Qt binding", "OpenGL", "memory", "catalogue", "device cpu"} <= names
