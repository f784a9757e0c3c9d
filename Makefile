# Each target creates the virtual environment and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: arena chat cluster mail pb test bench bench-wire bench-arena bench-arena-page
.PHONY: bench-cluster bench-cluster-nodes bench-workers bench-enumeration bench-fair
.PHONY: outcomes doors faults chaos fuzz lint docs clean

arena: $(VENV)/arena.installed
	$(BIN)/python -m examples.arena $(ARENA)

chat: $(VENV)/chat.installed
	$(BIN)/python -m examples.chat $(CHAT)

# Three nodes of the chat with a nats-server, and a page that shows where each user is.
cluster: $(VENV)/cluster.installed
	$(BIN)/python -m examples.cluster $(CLUSTER)

mail: $(VENV)/mail.installed
	$(BIN)/python -m examples.mail $(MAIL)

pb: $(VENV)/pb.installed
	$(BIN)/python -m examples.pb

# COVERAGE="-m coverage run" measures the coverage.
test: $(VENV)/test.installed $(VENV)/ldap.tried
	$(BIN)/python $(COVERAGE) -m pytest $(PYTEST)

# Figures of one process beside their peers, with targets. BENCH="--only login --scale 0.1"
bench: $(VENV)/bench.installed
	$(BIN)/python -m tests.benchmarks $(BENCH)

# Server and client beside bare echoes and other systems. WIRE="--parts bytes,chat --rounds 9"
bench-wire: $(VENV)/bench.installed
	$(BIN)/python -m tests.benchmarks.wire $(WIRE)

# The arena with its defaults for two minutes: logins, present bots, ticks, share of a core.
bench-arena: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.main_job $(MAIN_JOB)

# The arena's page in Chromium, with 40 and with 200 players in sight: frames, drawing, KB/s.
bench-arena-page: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.arena_page $(ARENA_PAGE)

bench-enumeration: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.enumeration $(ENUMERATION)

# Honest logins at one store, while another one is flooded with wrong passwords.
bench-fair: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.fair_logins $(FAIR)

# What a cluster costs, beside bare NATS and beside a portal alone.
bench-cluster: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.cluster $(BENCH_CLUSTER)

# The same with a process for each node, beside a portal alone: many sessions, many logins.
bench-cluster-nodes: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.cluster_nodes $(NODES)

# What more workers bring to `actorcred serve`.
bench-workers: $(VENV)/test.installed
	$(BIN)/python -m tests.benchmarks.workers $(WORKERS)

# The reference page that shows the result of each checker for each kind of credentials.
outcomes: $(VENV)/test.installed $(VENV)/ldap.tried
	ACTORCRED_WRITE_OUTCOMES=1 $(BIN)/python -m pytest -q tests/checkers/test_outcomes.py

# The reference page that shows what each protocol does about wrong passwords.
doors: $(VENV)/test.installed
	ACTORCRED_WRITE_DOORS=1 $(BIN)/python -m pytest -q tests/adapters/test_doors.py

# Every fault against a real server, on each event loop, with a table of the results.
faults: $(VENV)/test.installed $(VENV)/ldap.tried
	$(BIN)/python -m tests.faults $(FAULTS)

# Random faults on three nodes and their NATS: does a user ever have two avatars? CHAOS is in seconds.
# SERVERS=3 is a NATS of three servers.
CHAOS ?= 60
SERVERS ?= 1
chaos: $(VENV)/test.installed
	$(BIN)/python -m tests.cluster.chaos --seconds $(CHAOS) --servers $(SERVERS)

# FUZZ is the time for all targets together, in seconds.
FUZZ ?= 60
fuzz: $(VENV)/fuzz.installed
	$(BIN)/python -m tests.fuzz $(FUZZ)

lint: $(VENV)/lint.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs.installed
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "actorcred needs Python 3.11 or newer; try: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.installed: $(wildcard requirements/*.txt) setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r 'requirements/$*.txt'
	touch '$@'

# python-ldap must be compiled, which needs headers that might not be installed.
$(VENV)/ldap.tried: setup.cfg | $(VENV)/test.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[ldap]' 2>/dev/null \
	    || echo "LDAP will not be tested: python-ldap needs libldap2-dev and libsasl2-dev"
	touch '$@'

clean:
	rm -rf $(VENV) docs/_build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	    .import_linter_cache .hypothesis
