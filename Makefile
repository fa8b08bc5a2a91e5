# Meld & RAG. `make` alone lists the targets.

VENV := .venv
BIN := $(VENV)/bin
# The interpreter of the environment where there is one, else one that can make it.
PYTHON ?= $(shell for p in $(BIN)/python python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$p" && break; done)
INSTALL = $(if $(PYTHON),$(PYTHON) -I services/local/install.py,@echo "make: Python 3.11 or newer with its venv module is needed and was not found (python3.11, python3.12, python3.13, python3)" >&2; exit 1; :)

# Tests at once. Most of them wait for processes, so there are more than a small machine has cores.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help run backup verify-backup restore fsck eval test test-containers lint format stubs lock probe doctor bench bench-agents bench-retrieval bench-scale chaos wander screenshots clean install install-dev

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install ## Install what is missing, start everything on 127.0.0.1, stop on Ctrl-C
	@exec $(BIN)/python -m services.local

test: install-dev ## Run the tests: unit, contract, architecture, processes, browser; with ALL=1 the long ones too, a chaos round among them
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --ignore tests/containers $(if $(ALL),,-m "not slow") $(TESTS)

test-containers: install-dev ## Build the images and try them on a container engine
	@MELD_REQUIRE_ENGINE=1 $(BIN)/python -m pytest $(or $(TESTS),tests/containers)

lint: install-dev ## Check style (ruff), types (mypy --strict) and contracts (buf)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	@$(BIN)/python protos/check.py

format: install-dev ## Format the code
	$(BIN)/python -m ruff check --fix-only .
	$(BIN)/python -m ruff format .

stubs: install ## Build the gRPC stubs into protos/gen
	@$(BIN)/python protos/build.py --force

lock: install-dev ## Compile pyproject.toml into the hash-pinned files of requirements/
	@$(BIN)/python requirements/lock.py $(LOCK)

probe: ## Build the reference grpc_health_probe into the environment (needs Go)
	cd tests/tools && go build -mod=readonly -o ../../$(BIN)/grpc_health_probe github.com/grpc-ecosystem/grpc-health-probe

bench: install-dev ## Measure speed on this machine, with BENCH=name one module of bench/
	@for name in $(or $(BENCH),$(filter-out __init__ agents retrieval scale scale_texts,$(basename $(notdir $(wildcard bench/*.py))))); do \
		echo "== bench.$$name" && $(BIN)/python -m bench.$$name || exit 1; done

bench-agents: install-dev ## Measure how often the code agents find and mend faults (about an hour; FAULTS=n a program)
	@$(BIN)/python -m bench.agents $(if $(FAULTS),--faults $(FAULTS))

bench-retrieval: install-dev ## Measure retrieval quality and regret on the data sets that are there, or on DATA="folder ..." (MODEL=folder of an embedding model)
	@$(BIN)/python -m bench.retrieval $(if $(DATA),--data $(DATA)) $(if $(MODEL),--model $(MODEL))

bench-scale: install-dev ## Measure search, recall, memory and disk with 100,000 passages, beside chroma run (CHUNKS=n, FOLDER=kept)
	@$(BIN)/python -m bench.scale $(if $(CHUNKS),--chunks $(CHUNKS)) $(if $(FOLDER),--folder $(FOLDER))

chaos: install-dev ## Kill processes 300 times during ingest and look for losses
	@MELD_CHAOS_ROUNDS=$${MELD_CHAOS_ROUNDS:-300} $(BIN)/python -m pytest -m chaos --timeout 0 -s $(TESTS)

wander: install-dev ## Let three tenants do 20,000 random operations and look for what one hears of another
	@MELD_WANDER_OPERATIONS=$${MELD_WANDER_OPERATIONS:-20000} $(BIN)/python -m pytest --timeout 0 -s \
		tests/contract/isolation/test_random_operations.py -k many_operations

screenshots: install-dev ## Picture every view of the page at three widths in both themes, into build/screenshots
	@$(BIN)/python -m tests.browser.screenshots

doctor: install ## Say whether the models and MCP servers answer, what they can do, and whether code can be executed safely
	@$(BIN)/python -m services.agents.doctor

backup: install ## Copy all that the running house keeps into backups/ (or TO=folder; KEEP=n keeps the newest n)
	@$(BIN)/python -m services.backup create $(or $(TO),backups) $(if $(KEEP),--keep $(KEEP))

verify-backup: install ## Check FROM=backups/... without a running house
	@$(BIN)/python -m services.backup verify $(or $(FROM),$(error FROM=backups/... says which backup))

restore: install ## Replace all that the running house keeps by FROM=backups/... (YES=1 does not ask)
	@$(BIN)/python -m services.backup restore $(or $(FROM),$(error FROM=backups/... says which backup)) $(if $(YES),--yes)

fsck: install ## Compare all that the running house keeps with itself (REPAIR=1 mends, PURGE=1 leaves no byte of what was deleted, COLLECTION=c)
	@$(BIN)/python -m services.fsck $(if $(REPAIR),--repair) $(if $(PURGE),--purge) $(if $(COLLECTION),--collection $(COLLECTION))

eval: install ## Measure how well COLLECTION=c answers GOLDEN=file on the running house (SETTINGS="mode=lexical mode=hybrid", BASELINE=file or id, MAX_DROP=0.01, FAIL_BELOW="ndcg=0.7", OUTPUT=file)
	@$(BIN)/meld eval $(or $(GOLDEN),$(error GOLDEN=file says what is asked, see docs/evaluation.md)) $(if $(COLLECTION),--collection $(COLLECTION)) $(foreach each,$(SETTINGS),--setting $(each)) $(if $(BASELINE),--baseline $(BASELINE)) $(if $(MAX_DROP),--max-drop $(MAX_DROP)) $(foreach each,$(FAIL_BELOW),--fail-below $(each)) $(if $(OUTPUT),--output $(OUTPUT))

clean: ## Remove what can be built again: environment, stubs, caches (never data/)
	rm -rf $(VENV) protos/gen protos/gen-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf clients/*/build clients/python/*.egg-info clients/go/gen clients/typescript/gen clients/typescript/node_modules
	find services protos tests bench clients -name __pycache__ -type d -prune -exec rm -rf {} +

install:
	@$(INSTALL) local

install-dev:
	@$(INSTALL) dev
