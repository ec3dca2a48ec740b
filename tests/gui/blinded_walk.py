"""A blinded session of 40 slices by keys alone in the real window: planned, answered, killed in the middle, gone on with, and the result looked at.

    python tests/gui/blinded_walk.py OUT_FOLDER [--theme light] [--questions 40] [--volumes]

It needs a display with xdotool and ImageMagick's `import`. The keys come from the X server, as a person's do. Scans are a
sample and two made ones; the "model" is a truth that was moved aside by a voxel, the "student" one that was moved by three.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_medseg.catalogue import shipped
from napari_medseg.io import read, read_labels, write
from napari_medseg.review.blinded import read_answers, read_plan, summary_of
from napari_medseg.review.blinded.words import told
from napari_medseg.volume import Geometry, Volume

log = logging.getLogger("walkthrough")
KEYS = {"a": "d", "d": "a"}


def scans(folder: Path) -> tuple[Path, Path, Path]:
    """The head MR, and two made scans, each with two masks."""
    paths = tuple(folder / name for name in ("scans", "model", "student"))
    for path in paths:
        path.mkdir(parents=True)
    brain = read(shipped("sample_data") / "brain1_t1gd.nii.gz")
    cases = {"brain1": (brain, (read_labels(shipped("sample_data") / "brain1_tumour.nii.gz").array > 0).astype(np.uint8))}
    for seed in (1, 2):
        z, y, x = np.indices((30, 160, 150))
        truth = (((z - 15) * 4.0) ** 2 + (y - 70 - 9 * seed) ** 2 * (0.6 + 0.3 * seed) + (x - 80) ** 2 < 42**2).astype(np.uint8)
        noise = np.random.default_rng(seed).normal(100, 14, truth.shape)
        cases[f"made{seed}"] = Volume((noise + 70 * truth).astype(np.float32), Geometry(truth.shape, (4.0, 1.0, 1.0)), modality="MR"), truth
    for name, (scan, truth) in cases.items():
        write(scan, paths[0] / f"{name}.nii.gz")
        write(scan.like(np.roll(truth, 1, 2)), paths[1] / f"{name}.nii.gz")
        write(scan.like(np.roll(truth, (3, 3), (1, 2))), paths[2] / f"{name}.nii.gz")
    return paths


def plan_in_window(out: Path, theme: str, folders: tuple[Path, Path, Path], keep: Path, questions: int, kind: str) -> None:
    """Set the review up on the Review tab, as who leads a study does."""
    from walkthrough import Walk

    walk = Walk(out, None)
    walk.viewer.theme = theme
    blinded = walk.session.reviewing.blinded
    walk.tab("Review")
    walk.session.reviewing.turn("blinded")
    walk.wait(0.5)
    walk.picture("1-empty")
    blinded.change(images=folders[0], a=folders[1], b=folders[2], keep=keep, slices=questions, kind=kind)
    walk.picture("2-ready")
    walk.press("Plan the review")
    walk.until(lambda: blinded.chosen is not None or walk.session.trouble, 120)
    walk.picture("3-planned")
    walk.viewer.close()


class Window:
    """The program as a process of its own, with keys from the X server."""

    def __init__(self, out: Path, review: Path, rater: str, theme: str) -> None:
        self.out = out
        command = [sys.executable, "-m", "napari_medseg.gui", "--review", str(review), "--rater", rater]
        settings = out / "napari.yaml"
        settings.write_text(f"schema_version: 0.9.0\nappearance:\n  theme: {theme}\n", encoding="utf-8")
        self.process = subprocess.Popen(command, env={**os.environ, "NAPARI_CONFIG": str(settings)})
        self.answers = review / f"{rater.lower()}.answers.jsonl"
        self.id = self._until(self._found, 120)
        time.sleep(3)

    def _found(self) -> str:
        done = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^Blinded review$"], capture_output=True, text=True, check=False)
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    def _until(self, met, seconds: float):
        end = time.monotonic() + seconds
        while not (found := met()):
            if time.monotonic() > end or self.process.poll() is not None:
                self.picture("stuck")
                raise TimeoutError(f"it did not happen in time; {self.count()} answers")
            time.sleep(0.05)
        return found

    def count(self) -> int:
        return len(read_answers(self.answers).by_question) if self.answers.exists() else 0

    def key(self, key: str) -> None:
        subprocess.run(["xdotool", "key", key], check=True)

    def answer(self, key: str) -> None:
        """Press a key until the answer is on the disk: once, unless the picture was not there yet."""
        before, sent = self.lines(), 0.0
        end = time.monotonic() + 60
        while self.lines() == before:
            if time.monotonic() > end:
                self.picture("stuck")
                raise TimeoutError(f"{key} was not taken; {self.count()} answers")
            if time.monotonic() - sent > 5:
                self.key(key)
                sent = time.monotonic()
            time.sleep(0.02)

    def lines(self) -> int:
        return read_answers(self.answers).lines if self.answers.exists() else 0

    def picture(self, name: str) -> None:
        time.sleep(0.7)
        subprocess.run(["import", "-window", "root", str(self.out / f"{name}.png")], check=True)
        log.info("%s.png", name)

    def kill(self) -> None:
        """As a crash or a person with `kill -9` ends it: nothing can be tidied up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def answer_truly(window: Window, plan, numbers) -> None:
    """As a rater with a good eye: mostly for the model, now and then a tie or the other one."""
    for number in numbers:
        question = plan.questions[number - 1]
        key = "a" if question.left == "a" else "d"
        window.answer("s" if number % 9 == 0 else KEYS[key] if number % 13 == 0 else key)


def rate(out: Path, theme: str, review: Path) -> None:
    plan = read_plan(review)
    of = len(plan.questions)
    middle = min(17, (of + 1) // 2)
    window = Window(out, review, "Ann", theme)
    window.picture("4-first-question")
    window.key("f")
    window.picture("5-filled")
    window.key("f")
    subprocess.run(["xdotool", "keydown", "h"], check=True)
    window.picture("6-hidden")
    subprocess.run(["xdotool", "keyup", "h"], check=True)
    if plan.kind == "volumes":
        for key in ("Down", "Down", "Down"):
            window.key(key)
        window.picture("6b-three-slices-on")
    began = time.monotonic()
    before = min(3, middle - 1)
    answer_truly(window, plan, range(1, before + 1))
    window.key("z")
    window.picture("7-one-back")
    window.answer("s")
    for key in ("n", "b", "l", "u", "r", "r", "e", "d", "Return", "x"):
        window.key(key)
    window.picture("8-note")
    answer_truly(window, plan, range(before + 1, middle + 1))
    if window.count() != middle:
        raise RuntimeError(f"{window.count()} answers after {middle} questions")
    window.kill()
    log.info("killed after %d answers", middle)
    window = Window(out, review, "Ann", theme)
    if window.count() != middle:
        raise RuntimeError(f"{window.count()} answers after the kill, {middle} before")
    window.picture("9-gone-on")
    answer_truly(window, plan, range(middle + 1, of + 1))
    log.info("%d questions in %.0f s, a kill and a start among them", of, time.monotonic() - began)
    window.picture("10-all-answered")
    window.key("Return")
    window.picture("11-result")
    window.key("Escape")
    window.picture("12-tab")
    window.kill()
    log.info("%s", told(summary_of(review)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--volumes", action="store_true", help="whole volumes instead of slices: three questions")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp())
    os.environ["MEDSEG_PREFERENCES"] = str(made / "preferences.json")
    folders = scans(made)
    plan_in_window(options.out, options.theme, folders, made / "review", options.questions, "volumes" if options.volumes else "slices")
    rate(options.out, options.theme, made / "review")
    return 0


if __name__ == "__main__":
    sys.exit(main())
