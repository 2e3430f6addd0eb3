# `make demo`: from nothing to a video with sound.   `make test`: from nothing to a green test run.
PY ?= python3
VENV ?= .venv
# An index that offers CPU builds of torch, for Linux machines without a GPU whose usual index has only CUDA builds.
TORCH_INDEX ?=
PYTEST_ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt
LOCK_PIP := $(VENV)-lock/bin/python -m pip --disable-pip-version-check install -q -c $(VENV)-lock/kept

demo: $(VENV)/.run
	$(BIN)/foley demo --overwrite

test: $(VENV)/.test
	@.ci/world-rendering $(BIN)/python
	@.ci/voice
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Writes constraints.txt from a clean environment that holds every extra. The line of torch and lines with a marker (a
# version that differs between Python versions) are kept as they are: edit those by hand.
lock:
	rm -rf $(VENV)-lock
	$(PY) -m venv $(VENV)-lock
	grep -E '^torch==|^[^#]*;' constraints.txt > $(VENV)-lock/kept
	$(LOCK_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(LOCK_PIP) -e '.[dev,index,browser]'
	sed 's/^/^/; s/==.*/==/' $(VENV)-lock/kept | sort -u > $(VENV)-lock/names
	{ echo "# Made by \`make lock\` on $$(date +%Y-%m-%d) with $$($(PY) --version); build suffixes such as +cpu removed."; \
	  { $(VENV)-lock/bin/python -m pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' | grep -v -i -E -f $(VENV)-lock/names; \
	    cat $(VENV)-lock/kept; } | sort -f; } > $(VENV)-lock/constraints.txt
	cp $(VENV)-lock/constraints.txt constraints.txt
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV)/.torch $(VENV)/.run $(VENV)/.test $(VENV)/.lint build dist demo

$(VENV)/.torch: constraints.txt
	@$(PY) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "error: foleykit needs Python 3.11 to 3.13, and $(PY) is " + sys.version.split()[0] + "; try: make PY=python3.12")'
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.run: $(VENV)/.torch pyproject.toml
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) -e '.[world,train,published,flow,provenance,audioseal,web,test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP) -e '.[lint]'
	@touch $@

.PHONY: demo test lint format lock clean
