# `make help` lists the verbs. Needs a Python ≥ 3.11 and make; everything else goes into .venv/ by hash-pinned lock files.
.DEFAULT_GOAL := install
.PHONY: install otel licences audit run test coverage check bench bench-pages first-run rolling faults chaos screenshots \
	servers matrix lock help clean
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# The first interpreter that is new enough and can make virtual environments; PYTHON=/path/to/python overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo "$$python"; break; }; done)

CONFIG ?=
HOST ?= 127.0.0.1
PORT ?= 8000
SIMULATOR_PORT ?= 8100
WORKERS ?= 1
TESTS ?=
DATABASE ?=
# How many workers share the suite. Its tests empty the Redis that REDIS_URL names, so that one is for one worker.
PARALLEL ?= $(if $(REDIS_URL),1,2)
PEERS ?=
AUDIT ?=

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(VENV)/.installed ## make the virtual environment and install what the product needs (the default)

run: install ## start everything in the foreground [CONFIG=live.yaml HOST=… PORT=… SIMULATOR_PORT=… WORKERS=…]
	@exec $(BIN)/python manage.py up --host $(HOST) --port $(PORT) --simulator-port $(SIMULATOR_PORT) \
		--workers $(WORKERS) $(if $(CONFIG),--config $(CONFIG))

test: $(VENV)/.installed-test ## set up and run the whole suite, two workers at a time [TESTS=tests/engine PARALLEL=1]
	@$(BIN)/python -m tests.browser_setup
ifeq ($(or $(TESTS),$(filter 1,$(PARALLEL))),)
	$(BIN)/python -m pytest -n $(PARALLEL) --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/python -m pytest -m alone $(sort $(dir $(shell grep -rl --include='test_*.py' pytest.mark.alone tests)))
else
	$(BIN)/python -m pytest $(TESTS)
endif

# Whole gateways run in processes of their own, which nothing here measures; what measures time would measure the measuring.
CORE := tests/engine tests/wires tests/ledger
coverage: $(VENV)/.installed-test ## how much of the core its own tests run, by line and branch; fails below pyproject.toml's floor
	@$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -q -m "not alone" --ignore tests/ledger/test_database_away.py $(CORE)
	@$(BIN)/python -m coverage report

check: $(VENV)/.installed-test ## lint, formatting, types, migrations, Django's own checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING

bench: install ## CPU per request, beside a bare pass-through [BENCH="--check", PEERS=1: LiteLLM and Portkey beside it]
	$(BIN)/python -m bench $(if $(PEERS),--peers) $(BENCH)

bench-pages: $(VENV)/.installed-test ## every page over a million completions (minutes) [DATABASE=postgresql BENCH="--only /spend/"]
	$(BIN)/python -m bench.pages $(if $(DATABASE),--$(DATABASE)) $(BENCH)

first-run: ## what a newcomer waits: a clone, installation, a first completion, a second start (3 minutes)
	$(call require_python)
	@$(PYTHON) -m bench.first_run

rolling: $(VENV)/.installed-test ## four processes replaced twice under load, without a failed request (4 minutes)
	@$(BIN)/python -m bench.rolling

faults: $(VENV)/.installed-test ## sixteen faults of a provider in real time, judged from outside (2 minutes)
	@$(BIN)/python -m tests.chaos.faults

chaos: $(VENV)/.installed-test ## everything around the gateways fails at random, and they are killed (6 minutes) [CHAOS_SEED=1]
	@$(BIN)/python -m tests.chaos.half_open
	@$(BIN)/python -m tests.chaos.storm $(CHAOS_SEED)
	CHAOS=long $(BIN)/python -m pytest -q tests/chaos

PICTURES := $(addprefix tests/browser/,test_screenshots.py test_simple_pages.py test_office_pictures.py)
screenshots: $(VENV)/.installed-test ## pictures of every page, light and dark, wide and phone, in var/screenshots
	@$(BIN)/python -m tests.browser_setup
	LLMOPS_SCREENSHOTS=var/screenshots $(BIN)/python -m pytest -q $(PICTURES)

PYTHONS ?= python3.11 python3.13
servers: $(VENV)/.installed-test ## Python 3.11 and 3.13, SQLite and PostgreSQL, with and without Redis, RabbitMQ if there [PYTHONS=…]
	@$(BIN)/python -m tests.matrix $(PYTHONS)

# openai 3.x and anthropic 2.x are in the ordinary suite. The older ones go before them on the tests' path, not the gateway's.
MATRIX := openai-1 openai-2 anthropic-0 anthropic-1
matrix: servers $(MATRIX:%=matrix-%) ## `make servers`, and the SDK tests with older versions of the SDKs
matrix-%: $(VENV)/.installed-test .venv-matrix/%/.installed
	@PYTHONPATH=.venv-matrix/$* $(BIN)/python -c \
		"import $(firstword $(subst -, ,$*)) as sdk; print('With', sdk.__name__, sdk.__version__)"
	PYTHONPATH=.venv-matrix/$* $(BIN)/python -m pytest tests/sdk_compat/test_$(firstword $(subst -, ,$*)).py

.PRECIOUS: .venv-matrix/%/.installed
.venv-matrix/%/.installed: $(VENV)/.installed
	@echo "Installing the newest $* …"
	@rm -rf .venv-matrix/$*
	@sdk=$*; major=$${sdk##*-}; $(PIP_INSTALL) --target .venv-matrix/$* "$${sdk%-*}>=$$major,<$$((major + 1))"
	@touch $@

lock: ## resolve pyproject.toml anew into the lock files (for every Python and platform at once)
	$(call require_python)
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(UV_COMPILE) -o requirements.lock pyproject.toml
	$(UV_COMPILE) --extra otel -c requirements.lock -o requirements-otel.lock pyproject.toml
	$(UV_COMPILE) --extra test --extra otel -c requirements-otel.lock -o requirements-test.lock pyproject.toml
	rm -rf .venv-lock
# Without configuration (uv's default writes no addresses either), so that nothing of the machine it runs on gets into the files.
UV_COMPILE = .venv-lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-header --upgrade

clean: ## remove the virtual environments (not the data)
	rm -rf $(VENV) .venv-matrix .venv-lock .venv-audit .venv-python

define require_python
@test -n "$(PYTHON)" || { echo "llmops needs Python 3.11 or newer with the venv module" \
	"(on Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python." >&2; exit 1; }
endef

licences: $(VENV)/.installed-test ## what runs, with its licences; fails on one that is not allowed
	@$(BIN)/python -m tests.project.licences

audit: .venv-audit/.installed ## known vulnerabilities of what is locked; says so where no advisory service is reached [AUDIT=--unreached-passes]
	@.venv-audit/bin/python -m tests.project.audit .venv-audit/bin/pip-audit $(AUDIT)

# In an environment of its own, always the newest: it needs two dozen packages that nothing else here does, and an auditor
# that is held at an old version among what it audits would say less.
.venv-audit/.installed:
	$(call require_python)
	$(PYTHON) -m venv --clear .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --no-input "pip-audit>=2.10,<3"
	@touch $@

otel: install ## adds OpenTelemetry's exporter to .venv (docs/tracing.md)
	@$(PIP_INSTALL) --require-hashes -r requirements-otel.lock

$(VENV)/.installed: requirements.lock
	$(call require_python)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV) (the first time this takes a minute or two) …"
	@$(PIP_INSTALL) --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed-test: requirements-test.lock $(VENV)/.installed
	@echo "Installing the test tools into $(VENV) …"
	@$(PIP_INSTALL) --require-hashes -r requirements-test.lock
	@touch $@
