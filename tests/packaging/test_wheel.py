"""What is built is what a user gets: everything that is needed, nothing else, and a text that the hub can show."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = {
    "napari_medseg/napari.yaml", "napari_medseg/plugins.yaml", "napari_medseg/py.typed", "napari_medseg/review/report/page.html.j2",
    "napari_medseg/review/report/page.css",
    "napari_medseg/segmenters/weights/m0.safetensors", "napari_medseg/segmenters/weights/m0.json", "napari_medseg/segmenters/weights/promptable.safetensors",
}
KINDS = (".py", ".yaml", ".typed", ".j2", ".css", ".json", ".safetensors", ".nii.gz", ".nrrd", ".txt", ".svg")
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("built")
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    return message_from_bytes(wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))))


def test_the_wheel_holds_the_package_its_data_and_nothing_else(wheel, built):
    names = set(wheel.namelist())
    samples = {f"napari_medseg/sample_data/{path.name}" for path in (ROOT / "sample_data").iterdir()}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "napari_medseg").rglob("*.py")}
    assert names >= NEEDED | samples | code
    inside = {name for name in names if not name.startswith("napari_medseg-")}
    assert all(name.startswith("napari_medseg/") and name.endswith(KINDS) for name in inside)
    assert not [name for name in inside if re.search(r"(^|/)(tests?|docs|benchmarks|__pycache__|conftest\.py|test_[^/]*|\.[^/]*)(/|$)", name)]
    assert next(built.glob("*.whl")).stat().st_size < 15 * MEGABYTE


def test_the_wheel_says_how_napari_and_the_shell_find_it(wheel, metadata):
    points = wheel.read(next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))).decode()
    assert "[napari.manifest]\nnapari-medseg = napari_medseg:napari.yaml" in points
    assert "medseg = napari_medseg.cli:main" in points
    told = metadata.get_all("Classifier")
    assert "Framework :: napari" in told
    assert {one.split(" :: ")[1] for one in told if one.startswith("Operating System")} == {"MacOS", "Microsoft", "POSIX"}
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert not [one for one in metadata.get_all("Requires-Dist") if re.match(r"PyQt|sphinx|pytest", one) and "extra ==" not in one]


def test_the_hubs_text_has_no_address_that_works_in_the_source_only(metadata):
    text = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "not a medical device" in text
    assert text.lstrip().startswith("**From unlabelled CT and MR scans")
    assert "make run" not in text
    assert not [address for address in re.findall(r"\]\(([^)]*)\)", text) if not address.startswith("https://")]


def test_the_sdist_holds_the_documentation_and_the_tests_and_no_litter(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"docs/index.md", "docs/conf.py", "tests/conftest.py", "plugins.yaml", "CITATION.cff", "Makefile", "sample_data/brain1_t1gd.nii.gz"} <= names
    assert not [name for name in names if re.search(r"(^|/)(\.venv|build|dist|__pycache__|medseg-demo|\.[a-z]+_cache)(/|$)", name)]


def test_the_manifest_is_one_that_napari_takes_and_every_command_of_it_is_there():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(ROOT / "napari_medseg" / "napari.yaml")
    manifest.validate_imports()
    assert {sample.key for sample in manifest.contributions.sample_data} == {"brain1", "lung2", "breast1"}
