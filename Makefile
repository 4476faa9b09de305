# The two commands: `make demo` and `make test`. For GNU make from 3.81 on and BSD make.
# A step leaves a copy of what it was made from in .venv and is skipped while the two are equal.

PYTHON ?= python3
VENV = .venv
SCHEDULES ?= 100000
MINUTES ?= 20
WORKERS ?= 4
PYTEST ?=
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Installs requirements/$1.txt if its copy in .venv differs.
INSTALL_LOCK = install_lock() { \
	cmp -s requirements/$$1.txt $(VENV)/installed-$$1.txt && return; \
	echo "Installing requirements/$$1.txt into $(VENV) ..." >&2; \
	$(PIP) --require-hashes -r requirements/$$1.txt && cp requirements/$$1.txt $(VENV)/installed-$$1.txt; }; install_lock

# Prints what pyproject.toml asks for: the project's dependencies and those of the groups that are named.
DECLARED = $(BIN)/python -c 'import sys, tomllib; t = tomllib.load(open("pyproject.toml", "rb")); \
	print(*t["project"]["dependencies"], *(r for g in sys.argv[1:] for r in t["dependency-groups"][g]), sep="\n")'
# Several workers share the tests, by the rules of tests/rig/scheduler.py; PYTEST holds more options.
SUITE = $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadgroup --no-loadscope-reorder $(PYTEST)
COMPILE = CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --no-annotate \
	--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

.PHONY: help demo test test-all check lint manifests docs bench profile soak faults scale joining maxima fuzz conformance sbom audit setup testing components venv lock clean

help:
	@echo 'make demo        start meshdns on the example clusters; Ctrl-C ends it (needs Python 3.11 or newer)'
	@echo 'make test        every test, with real API servers, CoreDNS and name servers; installs and builds these first'
	@echo 'make test-all    the same with ten times as many random examples: up to an hour, before something is called done'
	@echo 'make check       linters, types, import contracts and the quick tests that need no servers: a minute'
	@echo 'make manifests   render deploy/kustomize from the chart, copy alerts and dashboard into it'
	@echo 'make docs        write the pages of docs/ that come from the code'
	@echo 'make bench       CPU per query beside other name servers; BENCH="--quick" or BENCH="--only known" for less'
	@echo 'make profile     a flame graph of a worker under load; PROFILE=misses for another workload than known names'
	@echo 'make fuzz        hostile octets for minutes: fuzzing, cost search, floods; FUZZ_SECONDS=600 for longer'
	@echo 'make conformance beside other servers, behind a hostile upstream and with random questions: docs/conformance.md'
	@echo 'make soak        100,000 schedules of faults in virtual time, 20 minutes of them for real; MINUTES=3 for less'
	@echo 'make faults      each fault of an API server once: docs/faults.md; make scale: a mesh of 70,000 objects: docs/scale.md'
	@echo 'make joining     processor time of a start with 10, 20, 40 and 80 folders: it grows with their number'
	@echo 'make maxima      objects at the maximum of their kind, alone and three times: docs/maxima.md'
	@echo 'make sbom        dist/meshdns.cdx.json: what is installed with meshdns, as CycloneDX'
	@echo 'make audit       known vulnerabilities of what is installed with meshdns'
	@echo 'make setup       only install meshdns into $(VENV)'
	@echo 'make components  only install and build what the tests run'
	@echo 'make lock        write requirements/*.txt anew (a deleted one with the newest versions)'
	@echo 'make clean       remove $(VENV) and the caches of this checkout'

demo: setup
	@exec $(BIN)/meshdns demo

test: components lint
	@exec $(SUITE)

test-all: components lint
	@exec $(SUITE) --hypothesis-profile=fuzz --timeout=1800

check: testing lint
	@exec $(BIN)/python -m pytest --quiet --quick --hypothesis-profile=check -m 'not rig and not slow and not alone' $(PYTEST)

lint: testing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy -p meshdns -p tests
	@$(BIN)/lint-imports

manifests: components
	@exec $(BIN)/python -m tests.deploy.render

docs: testing
	@for page in meshdns.config:settings meshdns.cli:cli meshdns.supervisor:metrics meshdns.stubdomains:stub-domains \
		meshdns.controller:problems tests.zones:semantics; do $(BIN)/python -m $${page%:*}.reference >docs/$${page#*:}.md || exit; done

bench: components
	@exec $(BIN)/python -m tests.bench $(BENCH)

conformance: components
	@exec $(BIN)/python -m tests.conformance

fuzz: components
	@$(INSTALL_LOCK) fuzz
	@exec $(BIN)/python -m tests.fuzz $(FUZZ)

profile: components
	@exec $(BIN)/python -m tests.bench.profiling $(PROFILE)

soak: components
	@$(BIN)/python -m tests.soak schedules --count $(SCHEDULES)
	@exec $(BIN)/python -m tests.soak faults --minutes $(MINUTES)

sbom: setup
	@$(INSTALL_LOCK) release
	@mkdir -p dist && PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements requirements/runtime.txt \
		--pyproject pyproject.toml --output-reproducible --output-file dist/meshdns.cdx.json

audit: setup
	@$(INSTALL_LOCK) release
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements/runtime.txt || { \
		echo 'Not audited, or something is vulnerable: read above. Where packages are not found, or the index cannot be' \
		'reached, run this on a machine that reaches the public Python package index.' >&2; exit 1; }

faults: components
	@exec $(BIN)/python -m tests.faults

scale: components
	@exec $(BIN)/python -m tests.scale

joining: components
	@exec $(BIN)/python -m tests.scale.joining

maxima: testing
	@exec $(BIN)/python -m tests.maxima

setup: venv
	@$(INSTALL_LOCK) build
	@$(INSTALL_LOCK) runtime
	@cmp -s pyproject.toml $(VENV)/installed-pyproject.toml || { \
		$(PIP) --no-deps --no-build-isolation --editable . && cp pyproject.toml $(VENV)/installed-pyproject.toml; }

testing: setup
	@$(INSTALL_LOCK) test

components: testing
	@$(BIN)/python -m tests.rig.packages
	@$(BIN)/python -m tests.rig.build
	@$(BIN)/python -m tests.rig.seeded

venv:
	@$(BIN)/python -c 'import pip' 2>/dev/null || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo 'meshdns needs Python 3.11 or newer, and $(PYTHON) is none: install one, or name it: make PYTHON=python3.13' >&2; \
			exit 1; }; \
		$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
			if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
				echo '$(PYTHON) cannot make virtual environments: run `sudo apt-get install python3-venv`, then this again.' >&2; \
				exit 1; \
			fi; \
			echo 'Installing the Debian package python3-venv ...' >&2; \
			apt-get update -qq </dev/null && DEBIAN_FRONTEND=noninteractive \
				apt-get install -qq -y --no-install-recommends python3-venv </dev/null >/dev/null; }; \
		$(PYTHON) -m venv --clear $(VENV); }

lock: venv
	@$(INSTALL_LOCK) lock
	@$(DECLARED) | $(COMPILE) --output-file=requirements/runtime.txt -
	@$(DECLARED) test | $(COMPILE) --constraint=requirements/runtime.txt --output-file=requirements/test.txt -
	@for name in build fuzz go lock release; do $(COMPILE) --constraint=requirements/test.txt --output-file=requirements/$$name.txt requirements/$$name.in || exit; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
