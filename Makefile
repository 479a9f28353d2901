.DEFAULT_GOAL := help
.PHONY: help venv check fmt fix lint types layers docs test nightly simulate mutants mutation fuzz chaos bench reference constraints

PYTHON ?= python3
BIN := $(if $(wildcard .venv/bin/python),.venv/bin/,)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

venv: ## make .venv with everything the tests and tools need
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -c constraints.txt -e '.[dev]'

check: fmt lint types layers docs test ## the whole gate, exactly what CI runs

fmt: ## formatting: say what would change
	@.ci/gate fmt

fix: ## formatting and simple lint: change it
	$(BIN)ruff check --fix-only .
	$(BIN)ruff format .

lint: ## ruff
	@.ci/gate lint

types: ## mypy, strict, and the public API as users type it
	@.ci/gate types

layers: ## who may import whom
	@.ci/gate layers

docs: ## the generated reference is up to date
	@.ci/gate docs

test: ## all tests; ARGS='-k leader' for some
	@.ci/gate test $(ARGS)

nightly: ## all tests, the long ones too, with a hundred times the Hypothesis examples
	HYPOTHESIS_PROFILE=nightly .ci/gate test --timeout 7200 -m "nightly or not nightly" $(ARGS)

simulate: ## worlds from seeds, in virtual time; ARGS='--seed 7 --trace' for one, default 5,000
	$(BIN)python -m tests.simulation $(or $(ARGS),--seeds 0-4999)

mutants: ## break each guarantee on purpose; ends with 1 unless the simulator catches every one
	$(BIN)python -m tests.simulation.mutants $(ARGS)

mutation: ## change the rules and the append path line by line, and list what no test notices; half an hour
	$(PYTHON) -m venv build/mutation
	build/mutation/bin/pip install -q -c constraints.txt '.[dev]' mutmut==3.8.1
	build/mutation/bin/pip uninstall -q -y cronledger
	build/mutation/bin/mutmut run $(ARGS)
	build/mutation/bin/mutmut results

fuzz: ## ten minutes of random texts for the cron parser; ARGS='-max_total_time=60' for less
	$(BIN)python tests/fuzz/cron.py -max_len=200 -timeout=10 -max_total_time=600 $(ARGS)

chaos: ## ten minutes of faults on real processes, on both databases; SECONDS=600 SEED=7
	PYTHONPATH=. $(BIN)python -m tests.chaos --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1) $(ARGS)

bench: ## the benchmarks; ARGS=--quick within five minutes, see bench/README.md
	PYTHONPATH=. $(BIN)python -m bench $(ARGS)

reference: ## write docs/reference and the pictures anew from the code
	$(BIN)python docs/generate.py
	$(BIN)python docs/pictures.py

constraints: ## resolve constraints.txt anew (needs uv)
	echo 'typer==0.28.0' | uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate --no-header -q -c /dev/stdin --upgrade -o constraints.txt
