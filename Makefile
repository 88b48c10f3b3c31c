# Everything that is done with the mesh from a checkout. `make help` lists it.

CARGO ?= cargo
PYTHON ?= python3

# One profile, the default one, serves the demo and the tests: nothing is built twice.
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),$(CURDIR)/target)
TOOLS := $(CURDIR)/target/tools
# What programs and tests need to find the pinned tools. A server named by the caller goes before the pinned one.
WITH_TOOLS = NATS_SERVER="$${NATS_SERVER:-$(TOOLS)/nats-server}" \
	PYTHONPATH="$(TOOLS)/python$${PYTHONPATH:+:$$PYTHONPATH}"

# The tests of the Python package start the binary as well as the server.
TEST_PYTHON = $(WITH_TOOLS) MESH_BIN="$(TARGET)/debug/mesh" $(PYTHON) -m unittest discover \
	--start-directory agents/python/tests --top-level-directory agents/python

.PHONY: help tools build demo record test test-python instructions sim huge soak chaos chaos-cluster check schemas clean-tools

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

tools: ## Fetch the pinned nats-server, nats-py, Prometheus and Valgrind into target/tools
	@$(PYTHON) deploy/tools.py

build: ## Build everything
	$(CARGO) build --workspace

demo: tools build ## Onboard the merchants of the example through a mesh and seven agents
	@$(WITH_TOOLS) $(PYTHON) agents/examples/merchant-onboarding/demo.py

record: tools build ## Record the demo as the animated SVG beside it
	@$(PYTHON) agents/examples/merchant-onboarding/record.py

# Most tests wait most of the time, so more of them run at once than there are cores on a small machine.
test: tools build ## Run every test, on real NATS servers
	$(WITH_TOOLS) RUST_TEST_THREADS="$${RUST_TEST_THREADS:-6}" $(CARGO) test --workspace
	$(TEST_PYTHON)

test-python: tools ## Run the tests of the Python package
	$(CARGO) build --package mesh-cli
	$(TEST_PYTHON)

instructions: tools ## Count instructions and compare them with the baseline: make instructions, WRITE=1 stores a new one
	$(PYTHON) -m unittest discover --quiet --start-directory tests/instructions
	$(CARGO) build --package mesh-instructions --profile instructions
	$(PYTHON) tests/instructions/check.py $(if $(WRITE),--write) "$(TARGET)/instructions/mesh-instructions"

# How many seeds of the simulation, and from which on.
SEEDS ?= 100000
FROM ?= 0

sim: ## Play seeds of the simulation: make sim SEEDS=100000 FROM=0
	$(CARGO) run --package mesh-simulation --profile simulation --bin simulate -- --seeds $(SEEDS) --from $(FROM)

huge: tools build ## Play runs of 100 000 tasks in sequence and 10 000 in parallel, and print figures
	$(WITH_TOOLS) $(CARGO) test --package mesh-tests --test huge -- --ignored --nocapture --test-threads 1

# How many tasks of the soak, and how many in each run.
TASKS ?= 1000000
CHAIN ?= 10

soak: tools ## Run many tasks and show that memory and disk of the server stay bounded: make soak TASKS=1000000
	$(WITH_TOOLS) $(CARGO) run --package mesh-tests --profile simulation --bin soak -- --tasks $(TASKS) --chain $(CHAIN)

# How many runs of a campaign, and its seed, if not any.
RUNS ?= 10000
CHAOS = $(WITH_TOOLS) "$(TARGET)/debug/chaos" --runs $(RUNS) $(if $(SEED),--seed $(SEED))

chaos: tools build ## Kill, freeze and restart processes under load: make chaos RUNS=10000 SEED=1
	$(CHAOS)

chaos-cluster: tools build ## The same on three servers, which are killed, cut off and restarted, too
	$(CHAOS) --cluster

check: ## Check formatting, lints and documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps --document-private-items

schemas: ## Write the JSON Schemas and the AsyncAPI document anew
	$(CARGO) build --package mesh-cli
	"$(TARGET)/debug/mesh" schema --out schemas

clean-tools: ## Remove the fetched tools
	rm -rf "$(TOOLS)"
