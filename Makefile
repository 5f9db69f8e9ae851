# `make help` explains the targets.
# Settings are taken from the environment or the command line: make run PORT=8001 INSTANCE_DIR=…

PYTHON ?= $(shell .ci/python)
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: help run test test-all test-quick check coverage golden pictures chaos bench lock lock-check browser

help: ## Explain the targets
	@awk -F ': ## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "make %-10s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

# Webhooks may reach programs on this machine, and the keys are made on the first run. Production
# runs `flask up` (or the single processes) with its own keys and without this.
run: export LOCAL_TRIAL ?= 1
run: .venv/run.stamp
run: ## Start the portal for a trial on this machine; Ctrl-C ends everything
	@$(BIN)/python -m flask --app wsgi up

# More processes than there are cores, for many tests wait for servers (tests/distribution.py); files
# that take long come first (tests/conftest.py). What pytest has made of each file is kept.
test test-quick coverage: export PYTHONDONTWRITEBYTECODE :=
test: .venv/dev.stamp browser
test: ## Install what the tests need, a browser too, and run all of them (ARGS="-k ring" for some)
	@$(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: ## The same, with each test that needs a database on both kinds, not those alone that differ
	@$(MAKE) --no-print-directory test ARGS='--all-databases $(ARGS)'

SLOW := browser faults jobs engine/http/real_receivers services/demo \
	services/core/test_chunked_walks.py services/csv/test_import_agreement.py \
	services/webhooks/test_notices.py web/webhooks/test_receiver_code.py
test-quick: .venv/dev.stamp
test-quick: ## While you work: on SQLite alone, without processes, faults, browser and what takes long
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile -k 'not postgres' \
		$(SLOW:%=--ignore tests/%) $(ARGS)

check: .venv/dev.stamp
check: ## Style, types, layers, then every test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

golden: .venv/dev.stamp browser
golden: ## Write anew what pages say, how they look and what is stored; then read `git diff`
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --renew-golden tests/web/golden_pages \
		tests/services/golden_rows tests/engine/events/test_events.py \
		tests/engine/test_reasons.py tests/engine/signing/test_signature_lab.py \
		$(wildcard tests/web/*/test_*_words.py) tests/web/webhooks/test_webhook_history.py \
		tests/services/operations/test_findings.py tests/services/csv/test_import_rows.py \
		tests/browser/golden_pictures

pictures: .venv/dev.stamp browser
pictures: ## Take a picture of every page of the demo, by day, by night and on a telephone
	@$(BIN)/python -m tests.browser.support.pictures $(ARGS)

# CHAOS_SEED=… repeats the faults of an earlier run, CHAOS_SECONDS=… makes it shorter.
chaos: export FAULTS := full
chaos: .venv/dev.stamp
chaos: ## Hurt the portal for an hour: long outages, minutes of random faults, on two machines too
	@$(BIN)/python -m pytest tests/faults -o log_cli=true -o log_cli_level=WARNING $(ARGS)

COVERAGE := $(BIN)/python -m coverage
coverage: .venv/dev.stamp browser
coverage: ## Which lines and branches no test reaches, child processes included
	@rm -rf test-results/coverage
	@$(COVERAGE) run -m pytest -q -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(COVERAGE) combine --quiet
	@$(COVERAGE) report

bench: .venv/dev.stamp
bench: ## Measure speed and memory, and print a table (ARGS="latency web" for some)
	@$(BIN)/python -m bench $(ARGS)

lock: .venv/dev.stamp
lock: ## Write requirements*.txt from requirements*.in (ARGS=--upgrade takes what is newer)
	@.ci/locks write $(ARGS)

lock-check: .venv/dev.stamp
lock-check: ## Ask the registry whether they are current, and fit every machine we run on
	@.ci/locks check

browser:
	@.ci/browser

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo 'There is no $(PYTHON) here. Name a Python, 3.11 to 3.14: make run PYTHON=python3.13' >&2; \
		exit 1; }
	@$(PYTHON) .ci/machine.py
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'This Python cannot make a virtual environment. On Debian: apt-get install python3-venv' >&2; \
		exit 1; }

.venv/run.stamp: requirements.txt | .venv/bin/python
	@echo "Installing what the portal needs: $$(grep == $< | grep -vc python_) packages, about 40 MB."
	@.ci/install $<
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/run.stamp
	@echo 'Installing what the tests need.'
	@.ci/install $<
	@touch $@
