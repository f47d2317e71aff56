# make demo and make test set everything up in .venv; nothing else is needed but Python 3.11.
# TORCH_INDEX picks where torch comes from: outside this default, https://download.pytorch.org/whl/cpu gives the small
# CPU build, e.g.: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3.11
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DATA ?= $(EMOEMBED_DATA)

.PHONY: demo test lint site checkpoint report report-full report-dialogue report-transfer benchmark named-data clean

demo: $(VENV)/examples
	$(BIN)/python examples/demo.py

test: $(VENV)/test
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build/lib build/types && $(PIP) --no-deps --target build/types .
	cd build/types && ../../$(BIN)/mypy --config-file ../../setup.cfg -p emoembed
	MYPYPATH=build/types $(BIN)/mypy --config-file setup.cfg checkpoints/build benchmarks

site: $(VENV)/site
	rm -rf build/lib build/site build/site-package && $(PIP) --no-deps --target build/site-package .
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

checkpoint: named-data $(VENV)/build
	$(BIN)/python checkpoints/build --data "$(DATA)" --output checkpoints

report: named-data $(VENV)/test
	$(BIN)/python benchmarks/report.py --data "$(DATA)" --split test

report-full: named-data $(VENV)/test
	$(BIN)/python benchmarks/report.py --data "$(DATA)" --split test --parts all

report-dialogue: named-data $(VENV)/test
	$(BIN)/python benchmarks/dialogue.py --data "$(DATA)" --split test --parts all

report-transfer: named-data $(VENV)/test
	$(BIN)/python benchmarks/transfer.py --data "$(DATA)"

named-data:
	@test -n "$(DATA)" || { echo "name the folder that holds the corpora: make $(firstword $(MAKECMDGOALS)) DATA=DIR"; exit 2; }

benchmark: $(VENV)/test
	$(BIN)/python benchmarks/speed.py

$(VENV)/torch:
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	touch $@

$(VENV)/examples $(VENV)/test $(VENV)/lint $(VENV)/site $(VENV)/build: $(VENV)/%: $(VENV)/torch setup.cfg constraints.txt
	$(PIP) -e ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build demo-media *.egg-info
