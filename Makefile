# For this repository only; users need pip and `medseg`. Override TORCH for a CUDA build: make run TORCH="torch==2.13.0+cu130 --index-url ..."
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest

.PHONY: help run test check docs clean

help:
	@echo "make run    set up everything and run the main job: the window where there is a display, else the demo"
	@echo "make test   set up everything and run the tests on PyQt5 and PyQt6"
	@echo "make check  lint, types, import laws, the napari manifest and the documentation"
	@echo "make docs   build the documentation into build/docs; every warning is an error"

# A window needs a display: X11 or Wayland on Linux, always there on macOS unless one is logged in from elsewhere.
run: $(READY)
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || { [ "$$(uname)" = Darwin ] && [ -z "$$SSH_CONNECTION" ]; }; then \
		echo "Opening the window with a sample scan."; $(BIN)/medseg --sample brain1; \
	else \
		echo "No display: running the same job without a window."; $(BIN)/medseg demo --out medseg-demo; \
	fi

# Tests without a window run beside those with one: two cores have room for both. Those of the commands, processes of their own, come last beside them.
test: $(READY)
	@echo "Tests: those without a window, and beside them those with one on PyQt5, on PyQt6, and those of the commands."
	@export QT_QPA_PLATFORM=offscreen QT_API=pyqt5 PYTEST_QT_API=pyqt5; \
	$(PYTEST) -m "not qt" --ignore tests/cli --ignore tests/faults & rest=$$!; failed=0; \
	$(PYTEST) -m qt || failed=1; \
	QT_API=pyqt6 PYTEST_QT_API=pyqt6 $(PYTEST) -m qt || failed=1; \
	$(PYTEST) -m "not qt" tests/cli tests/faults || failed=1; \
	wait $$rest || failed=1; \
	exit $$failed

check: $(READY) docs
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate napari_medseg/napari.yaml

docs: $(READY)
	$(BIN)/python -m sphinx -E -W --keep-going -q -d build/doctrees docs build/docs

# torch comes first, so that no later requirement can choose another build of it.
$(READY): pyproject.toml .ci/system-libraries
	sh .ci/system-libraries
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "Python 3.11 or newer with venv is needed: apt-get install python3 python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,pyqt5,pyqt6]"
	touch $(READY)

clean:
	rm -rf .venv medseg-demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
