# make demo   sets up .venv and runs the whole job on the shipped sample (./demo)
# make test   sets up .venv and runs the tests
# make lint   ruff, mypy --strict, import contracts
# make bench  the benchmarks
# make compare  CropNet, forest and boosting over folds of blocks and of fields, and from one square to another, five
#               seeds (an hour or more); the tables of the README
# make clean  removes what the above have made, the project's stores in ./demo too

VENV ?= .venv
DEMO ?= demo
# Two files at a time on two processors, in the order of their names: those that take minutes come before the units.
PYTEST_ARGS ?=
PARALLEL ?= -n auto --dist loadfile --no-loadscope-reorder
# The first interpreter that is new enough; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
NATIVE := $(wildcard CMakeLists.txt cropcube/kernels/native/*)

# Threads of OpenMP (torch) sleep instead of spinning while they wait: where more runs than there are processors (the
# tests do, two at a time), spinning made training six times slower.
export OMP_WAIT_POLICY ?= passive

.DELETE_ON_ERROR:
.PHONY: demo test lint bench compare clean setup

demo: $(INSTALLED)
	$(BIN)/cropcube demo $(DEMO)

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint requirements.lock bottleneck flox hdstats numbagg odc-stac xbatcher
	set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

compare: $(INSTALLED)
	$(BIN)/python benchmarks/compare_classifiers.py $(COMPARE_ARGS)
	$(BIN)/python benchmarks/compare_transfer.py
	$(BIN)/python benchmarks/compare_year.py

setup: $(INSTALLED)

$(LOCKED): requirements.lock
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; name one with PYTHON=..." >&2; exit 1; }
	@echo "== setting up $(VENV) from requirements.lock (a few minutes the first time)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -qq --no-compile \
		-r requirements.lock
	@touch $@

# Editable: Python files are used from this folder; the native kernels are compiled into the environment.
$(INSTALLED): $(LOCKED) pyproject.toml $(NATIVE)
	@echo "== compiling the kernels and installing cropcube into $(VENV)"
	$(BIN)/python -m pip install --disable-pip-version-check -qq --no-build-isolation --no-deps --editable .
	@touch $@

clean:
	rm -rf build dist $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
