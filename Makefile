# make benchmark   set up .venv if it is missing, run the quickstart; the last line is its report
# make test        the same set-up, then the tests
# make test-system sweeps, whole reports, fuzz in brief, and what needs SLURM, PostgreSQL, Chromium or LaTeX (skipped where absent)
# make test-long   those that take a minute or more each: kills, studies, every command of the docs
# make faults      kill, fill and break what can be: an hour; ROUNDS=50 SEED=0 are its defaults
# make fuzz        damaged files of every format: minutes; FUZZ=1000 SEED=0 are its defaults
# make lint        the checks of style, types and layers
# make docs        the API reference, in build/docs/index.html
# make bench       speed beside the alternatives; writes docs/reference/performance.md (an idle machine, 45 minutes)
# make clean       remove .venv and caches; results stay

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Of the tests: one more than cores, since many wait for what they started; memory allows four.
WORKERS := $(shell echo $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)))

.PHONY: benchmark test test-system test-long faults fuzz lint docs bench clean
.DEFAULT_GOAL := benchmark

benchmark: $(INSTALLED)
	@$(BIN)/snakemake --cores all
	@echo results/quickstart/report.html

test: $(INSTALLED)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long and not system and not fuzz"

test-system: $(INSTALLED)
	FUZZ=$${FUZZ:-30} $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
	    -m "(system or fuzz) and not long" tests

test-long: $(INSTALLED)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder -m long

faults: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 --timeout 3600 tests/faults

fuzz: $(INSTALLED)
	FUZZ=$${FUZZ:-1000} $(BIN)/pytest --numprocesses $(WORKERS) --dist load --timeout 3600 tests/fuzz

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

docs: $(INSTALLED)
	$(BIN)/python -W error -m pdoc --docformat google --output-directory build/docs ssl_methods

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.all

clean:
	rm -rf $(VENV) *.egg-info build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Once, and again when what is to be installed changes. The first Python that is new enough and can make
# a virtual environment; set PYTHON to choose another. Bytecode is compiled on all cores, where pip
# would take one; what is no Python, packages' templates, is passed over.
$(INSTALLED): requirements.lock pyproject.toml
	@set -e; \
	if [ ! -x $(BIN)/pip ]; then \
	    for python in $(PYTHON) python3 python3.12 python3.11 python3.13; do \
	        if "$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	        then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "error: no Python 3.11 or newer with venv on PATH; install one, or: make PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating $(VENV) with $$("$$found" --version)"; \
	    "$$found" -m venv --clear $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --no-compile -r requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
