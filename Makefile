# HA Ingestor. `make` lists what can be made.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run setup setup-dev check fix test chaos bench bench-full lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## Set up all and capture: your home (HA_URL, HA_TOKEN), or a demo home
	@exec $(RUN)/ha-ingestor run $(ARGS)

setup: $(VENV)/.run ## Make the environment that the product needs
setup-dev: $(VENV)/.dev ## Make the environment that its developers need

check: setup-dev ## Lint, format, types, import rules
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

fix: setup-dev ## Mend what lint and format can mend
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

test: check ## Set up all, install the servers that the tests need, and run every test
	$(RUN)/python -m tests.support.home_assistant_install
	$(RUN)/python -m tests.chaos.tools
	$(RUN)/pytest $(ARGS)

chaos: setup-dev ## Attack the whole product: kills, power cuts, broken disks (PART=all SECONDS=3300 SEED=)
	$(RUN)/python -m tests.chaos --part $(or $(PART),all) --seconds $(or $(SECONDS),3300) $(if $(SEED),--seed $(SEED))

bench: setup-dev ## Measure in short: core, whole product, latency, answers, shards (10 minutes)
	$(RUN)/python -m benchmarks $(ARGS)

bench-full: setup-dev ## Measure the published figures (2 hours); goes on where it was stopped
	$(RUN)/python -m benchmarks --full --write $(ARGS)

lock: ## Pin all packages anew, with hashes (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml --group build -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		-c requirements/run.txt pyproject.toml --group build --group dev -o requirements/dev.txt

clean: ## Remove the environment and caches; the data stays
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.run: requirements/run.txt pyproject.toml
	@scripts/make-environment $(PYTHON) $(VENV) requirements/run.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@scripts/make-environment $(PYTHON) $(VENV) requirements/dev.txt
	@touch $@ $(VENV)/.run
