# make demo and make test set everything up in .venv; nothing else is needed but Python 3.11.
# TORCH_INDEX picks where torch comes from: outside this default, https://download.pytorch.org/whl/cpu gives the small
# CPU build, e.g.: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3.11
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DATA ?= $(EMOEMBED_DATA)

.PHONY: demo test lint site wheel release checkpoint blendshapes report report-full report-dialogue report-transfer benchmark named-data clean

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

# the wheel as a user gets it: in an environment of its own, without constraints
wheel: $(VENV)/release
	rm -rf build/lib build/dist build/wheel && $(BIN)/python -m build --outdir build/dist .
	$(BIN)/twine check --strict build/dist/*
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip --disable-pip-version-check install --quiet \
		$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	build/wheel/bin/python -m pip --disable-pip-version-check install --quiet build/dist/*.whl
	build/wheel/bin/python -m pip --disable-pip-version-check check
	cd build/wheel && bin/python -W error -c "import emoembed; print(emoembed.predict('We made it!', labels=['relief', 'fear']))"
	cd build/wheel && bin/emoembed predict --text "We made it!" --labels relief,fear

# make release VERSION=0.2.0, after the version was changed in the three files and committed
release:
	@test -n "$(VERSION)" || { echo "name the version: make release VERSION=0.2.0"; exit 2; }
	@grep -qx '__version__ = "$(VERSION)"' emoembed/__init__.py || { echo "emoembed/__init__.py has another version"; exit 2; }
	@grep -qx 'version: $(VERSION)' CITATION.cff || { echo "CITATION.cff has another version"; exit 2; }
	@grep -qx '## $(VERSION)' CHANGELOG.md || { echo "CHANGELOG.md has no section ## $(VERSION)"; exit 2; }
	@test -z "$$(git status --porcelain)" || { echo "commit or remove what git status lists"; exit 2; }
	$(MAKE) lint site test wheel
	@echo "Now: git tag v$(VERSION) && git push --tags && twine upload build/dist/*"

checkpoint: named-data $(VENV)/build
	$(BIN)/python checkpoints/build --data "$(DATA)" --output checkpoints --blendshapes "$(BLENDSHAPES)"

# MediaPipe brings another OpenCV, so it has an environment of its own
LANDMARKER ?= build/face_landmarker.task
BLENDSHAPES ?= build/blendshapes.npz
blendshapes: named-data $(LANDMARKER)
	$(PYTHON) -m venv build/mediapipe
	build/mediapipe/bin/python -m pip --disable-pip-version-check install --quiet mediapipe==1.2.3
	build/mediapipe/bin/python checkpoints/build/blendshapes.py --images "$(DATA)/fer2013" \
		--landmarker "$(LANDMARKER)" --output "$(BLENDSHAPES)"

build/face_landmarker.task:
	mkdir -p build
	curl --fail --silent --show-error --location --output $@.part \
		https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task
	mv $@.part $@

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

$(VENV)/examples $(VENV)/test $(VENV)/lint $(VENV)/site $(VENV)/build $(VENV)/release: $(VENV)/%: $(VENV)/torch setup.cfg constraints.txt
	$(PIP) -e ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) build demo-media *.egg-info
