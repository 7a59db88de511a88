# AfterRun exporter. Two commands are enough: `make run` and `make test`.
# Python packages are in .venv, which is created on first use; `make clean` removes it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start the daemon hundreds of times: keep its compiled modules.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin

# A test that takes longer hangs: it fails, and the others go on. No test waits so long for anything.
TEST_SECONDS := 1500

# Test modules that run in parallel. They mostly wait for real programs, so more than processors (5 GiB of memory).
AT_ONCE := --numprocesses=14 --dist=loadfile --no-loadscope-reorder --timeout=$(TEST_SECONDS)

# Their times show which pyproject.toml is installed.
RUNTIME := $(VENV)/installed
DEV := $(VENV)/installed-dev
# Clients that report in the tests, apart from the packages that run the tests.
CLIENTS := .venv-clients/installed

# Another interpreter: make run PYTHON=python3.13
PYTHON ?=

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- Run ------------------------------------------------------------------------

.PHONY: run
run: $(RUNTIME) ## Install into .venv and start the daemon with afterrun.yml; on another port: make run ADDRESS=:10708
	@exec $(BIN)/afterrun serve --config.file=afterrun.yml $(if $(ADDRESS),--web.listen-address=$(ADDRESS))

.PHONY: generate
generate: $(DEV) ## Write rules/, alertmanager/ and grafana/
	@$(BIN)/afterrun generate

# --- Test -----------------------------------------------------------------------

.PHONY: test
test: system-packages $(DEV) $(CLIENTS) lint types ## Check format, lint and types, run every test, check coverage, and run the unit tests on Python 3.14
	@$(BIN)/pytest $(AT_ONCE) --cov
	@$(BIN)/python -m tests.compat --python 3.14

.PHONY: compat
compat: system-packages $(DEV) $(CLIENTS) ## Run tests with each supported Prometheus, Alertmanager, PostgreSQL and Python (an hour)
	@$(BIN)/python -m tests.compat

.PHONY: test-under-load
test-under-load: system-packages $(DEV) $(CLIENTS) ## Run every test while four programs keep the processors busy
	@scripts/under-load.sh $(BIN)/pytest $(AT_ONCE)

.PHONY: lint
lint: $(DEV) ## Check format and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

.PHONY: format
format: $(DEV) ## Format, and fix what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: types
types: $(DEV) ## Check types
	@$(BIN)/mypy

.PHONY: unit
unit: system-packages $(DEV) ## Run the tests of the package itself, without the expensive ones (90 seconds of two cores)
	@$(BIN)/pytest $(AT_ONCE) --numprocesses=2 --ignore=tests/e2e -m "not slow and not thorough and not postgres" --hypothesis-profile=unit -p no:schemathesis

.PHONY: e2e
e2e: system-packages $(DEV) $(CLIENTS) ## Run the end-to-end tests: real processes, real Prometheus
	@$(BIN)/pytest tests/e2e

.PHONY: e2e-repeat
e2e-repeat: system-packages $(DEV) $(CLIENTS) ## Run the end-to-end tests three times in a row
	@for time in 1 2 3; do echo "Time $$time of 3" && $(BIN)/pytest tests/e2e || exit; done

.PHONY: kill9
kill9: system-packages $(DEV) ## Prove that kill -9 under load loses no acknowledged ping
	@$(BIN)/pytest -m slow tests/e2e/daemon/test_kill9.py

.PHONY: replicas
replicas: system-packages $(DEV) $(CLIENTS) ## Kill, freeze and cut off replicas and PostgreSQL, and run the tests of clients and pages against two replicas (minutes)
	@$(BIN)/pytest -m "slow or not slow" tests/e2e/replicas
	@$(BIN)/pytest -p tests.two_replicas tests/api tests/dialects tests/ingest tests/page
	@AFTERRUN_TEST_REPLICAS=2 $(BIN)/pytest tests/e2e/clients tests/e2e/client tests/e2e/page

.PHONY: schemathesis
schemathesis: system-packages $(DEV) ## Send the API requests that its OpenAPI document allows, and others (minutes)
	@$(BIN)/pytest -m slow tests/e2e/daemon/test_schemathesis.py

.PHONY: simulate
simulate: $(DEV) ## Compare the alerts of 900 simulated job-years with the expected ones (minutes)
	@$(BIN)/python -m tests.simulation

.PHONY: storm
storm: system-packages $(DEV) ## Make 20,000 of 100,000 jobs fail at once, and check the notifications (15 minutes, 12 GiB)
	@$(BIN)/python -m tests.e2e.storm

.PHONY: slow
slow: system-packages $(DEV) ## Run the tests that take minutes
	@$(BIN)/pytest -m slow

.PHONY: bench
bench: bench-packages $(DEV) ## Measure the documented numbers, next to other programs (13 minutes)
	@$(BIN)/python -m benchmarks

.PHONY: bench-quick
bench-quick: bench-packages $(DEV) ## Measure some of them, smaller and shorter (under a minute)
	@$(BIN)/python -m benchmarks --quick

.PHONY: soak
soak: $(DEV) ## Run a daemon under load for an hour, and check that its memory does not grow
	@$(BIN)/python -m benchmarks.soak

.PHONY: bench-limits
bench-limits: bench-packages $(DEV) ## Measure how long the most expensive bodies hold up other requests (minutes)
	@$(BIN)/python -m benchmarks.limits

.PHONY: bench-replicas
bench-replicas: system-packages bench-packages $(DEV) ## Measure replicas on PostgreSQL next to one daemon on SQLite (minutes)
	@$(BIN)/python -m benchmarks.replicas

.PHONY: profile
profile: bench-packages $(DEV) $(BIN)/py-spy ## Draw a flame graph of the daemon under load: profile.svg
	@$(BIN)/python -m benchmarks.flame

# --- Release --------------------------------------------------------------------

.PHONY: packages
packages: release-packages $(DEV) ## Build wheel, source distribution, SBOM and Debian packages into dist/ (minutes, as root)
	@scripts/packages.sh

.PHONY: deb-test
deb-test: release-packages $(DEV) ## Install, run, remove and purge the Debian packages in clean roots of Debian 12 and 13 (minutes, as root)
	@$(BIN)/pytest -m slow tests/e2e/packages/test_debian_roots.py

.PHONY: image-test
image-test: release-packages $(DEV) ## Build the image with buildah on a base made by debootstrap, and run it (minutes, as root)
	@$(BIN)/pytest -m slow tests/e2e/packages/test_image.py

# --- Install --------------------------------------------------------------------

.PHONY: system-packages
system-packages:
	@scripts/system-packages.sh

.PHONY: release-packages
release-packages:
	@scripts/system-packages.sh release

.PHONY: bench-packages
bench-packages:
	@scripts/system-packages.sh bench

$(BIN)/py-spy: | $(BIN)/pip
	@$(BIN)/pip install --quiet py-spy

# pip is installed last into a new environment, so one without it is incomplete.
$(BIN)/pip:
	@python=$$(PYTHON='$(PYTHON)' scripts/system-packages.sh python) && \
	echo "Making $(VENV) with $$("$$python" --version)" && \
	"$$python" -m venv --clear $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing AfterRun into $(VENV)"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing AfterRun and its development tools into $(VENV)"
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(RUNTIME)

# Without AfterRun itself: some of them require other versions of its dependencies.
define LIST_CLIENTS
import tomllib
with open("pyproject.toml", "rb") as file:
    extras = tomllib.load(file)["project"]["optional-dependencies"]
print(*extras["clients"], sep="\n")
endef
export LIST_CLIENTS

$(CLIENTS): pyproject.toml constraints-clients.txt | $(BIN)/pip
	@echo "Installing the clients that the tests run into $(@D)"
	@$(BIN)/python -m venv --clear $(@D)
	@$(BIN)/python -c "$$LIST_CLIENTS" | $(@D)/bin/pip install --quiet --constraint constraints-clients.txt --requirement /dev/stdin
	@touch $@

.PHONY: constraints
constraints: | $(BIN)/pip ## Pin the newest versions of all packages in constraints*.txt (minutes)
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && \
	$(BIN)/python -m venv "$$new/dev" && "$$new/dev/bin/pip" install --quiet --editable '.[dev]' && \
	$(BIN)/python -m venv "$$new/clients" && \
	$(BIN)/python -c "$$LIST_CLIENTS" | "$$new/clients/bin/pip" install --quiet --requirement /dev/stdin && \
	{ echo "# Generated by make constraints."; "$$new/dev/bin/pip" freeze --exclude-editable; } > constraints.txt && \
	{ echo "# Generated by make constraints."; "$$new/clients/bin/pip" freeze; } > constraints-clients.txt

.PHONY: clean
clean: ## Remove .venv, caches and builds; never the database
	@rm -rf $(VENV) $(CLIENTS:/installed=) .cache build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* htmlcov
	@rm -rf tests/grafana/node_modules tests/kubernetes/node_modules tests/axe/node_modules tests/e2e/clients/node/node_modules artefacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
