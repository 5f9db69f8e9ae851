# `make help` explains the targets.
# Set settings in the environment or on the command line: make run PORT=8001 INSTANCE_DIR=…

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

# In a local trial, webhooks can reach programs on this machine, and the first run creates the keys.
# Production runs `flask up` (or separate processes) with its own keys and without this.
run: export LOCAL_TRIAL ?= 1
run: .venv/run.stamp
run: ## Start the portal for a local trial (Ctrl-C stops it)
	@$(BIN)/python -m flask --app wsgi up

# Use more processes than cores, because many tests wait for servers (tests/distribution.py). Slow
# files come first (tests/conftest.py). Keep pytest’s compiled files.
test test-quick coverage: export PYTHONDONTWRITEBYTECODE :=
test: .venv/dev.stamp browser
test: ## Install the tests’ packages and a browser, then run all tests (ARGS="-k ring" limits them)
	@$(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: ## Run all tests, with every database test on both databases
	@$(MAKE) --no-print-directory test ARGS='--all-databases $(ARGS)'

SLOW := browser faults jobs engine/http/real_receivers services/demo \
	services/core/test_chunked_walks.py services/csv/test_import_agreement.py \
	services/webhooks/test_notices.py web/webhooks/test_receiver_code.py
test-quick: .venv/dev.stamp
test-quick: ## Run the fast tests on SQLite, without processes, faults, and browser
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile -k 'not postgres' \
		$(SLOW:%=--ignore tests/%) $(ARGS)

check: .venv/dev.stamp
check: ## Check style, types, and layers, then run all tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

golden: .venv/dev.stamp browser
golden: ## Renew golden pages, pictures, and rows (then read `git diff`)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --renew-golden tests/web/golden_pages \
		tests/services/golden_rows tests/engine/events/test_events.py tests/engine/formats/test_chats.py \
		tests/engine/test_reasons.py tests/engine/signing/test_signature_lab.py \
		$(wildcard tests/web/*/test_*_words.py) tests/web/webhooks/test_webhook_history.py \
		tests/services/mail/test_every_mail.py tests/services/operations/test_findings.py tests/services/csv/test_import_rows.py \
		tests/browser/golden_pictures

pictures: .venv/dev.stamp browser
pictures: ## Take pictures of every page with sample data, light, dark, and on a phone
	@$(BIN)/python -m tests.browser.support.pictures $(ARGS)

# CHAOS_SEED=… repeats an earlier run’s faults. CHAOS_SECONDS=… shortens the run.
chaos: export FAULTS := full
chaos: .venv/dev.stamp
chaos: ## Inject long outages and random faults for an hour, also on two machines
	@$(BIN)/python -m pytest tests/faults -o log_cli=true -o log_cli_level=WARNING $(ARGS)

COVERAGE := $(BIN)/python -m coverage
coverage: .venv/dev.stamp browser
coverage: ## List lines and branches that no test reaches
	@rm -rf test-results/coverage
	@$(COVERAGE) run -m pytest -q -n 5 --dist loadfile --no-loadscope-reorder $(ARGS)
	@$(COVERAGE) combine --quiet
	@$(COVERAGE) report

bench: .venv/dev.stamp
bench: ## Measure speed and memory (ARGS="latency web" limits the benchmarks)
	@$(BIN)/python -m bench $(ARGS)

lock: .venv/dev.stamp
lock: ## Write requirements*.txt from requirements*.in (ARGS=--upgrade takes newer versions)
	@.ci/locks write $(ARGS)

lock-check: .venv/dev.stamp
lock-check: ## Check that requirements*.txt are current and fit every supported machine
	@.ci/locks check

browser:
	@.ci/browser

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo '$(PYTHON) isn’t installed. Choose Python 3.11 to 3.14, for example: make run PYTHON=python3.13' >&2; \
		exit 1; }
	@$(PYTHON) .ci/machine.py
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'This Python can’t create a virtual environment. On Debian, run: apt-get install python3-venv' >&2; \
		exit 1; }

.venv/run.stamp: requirements.txt | .venv/bin/python
	@echo "Installing $$(grep == $< | grep -vc python_) packages, about 40 MB, for the portal."
	@.ci/install $<
	@touch $@

.venv/dev.stamp: requirements-dev.txt .venv/run.stamp
	@echo 'Installing packages for the tests.'
	@.ci/install $<
	@touch $@
