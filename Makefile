# Two commands do all: `make demo` shows what the gateway does, `make test` passes the tests.
# What they need beyond Rust, a C compiler, Python 3.11 and make they install themselves, below target/.

CARGO ?= cargo

.PHONY: build python demo run test soak fuzz check bench bench-quick docs fmt

build:
	$(CARGO) build

# Debian splits pip and venv from its Python; everything else that is needed comes by them.
python:
	@python3 -c 'import pip, ensurepip' 2>/dev/null || tests/install-pip

# Starts a gateway with a model inside the binary, sends one streamed chat before and one after its filters are
# installed, shows both side by side, and ends.
demo: build python
	target/debug/sluicegate demo --tour

# The same gateway, until Ctrl-C.
run: build python
	target/debug/sluicegate demo

test: python
	$(CARGO) test --workspace --lib --bins
	$(CARGO) test --test it

# Every fault at random, a quarter of an hour long.
soak: python
	SLUICEGATE_SOAK_SECONDS=900 $(CARGO) test --test it r09_ -- --nocapture

# Every fuzz target for a while, without coverage: `make fuzz SECONDS=300 TARGETS="json sse" SEED=7`. With a nightly
# compiler and cargo-fuzz, `cargo +nightly fuzz run --features libfuzzer json` is guided by coverage.
SECONDS ?= 60
SEED ?= 1
fuzz:
	$(CARGO) run --profile fuzz --package sluicegate-fuzz --bin drive -- --seconds $(SECONDS) --seed $(SEED) $(TARGETS)

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	$(CARGO) test --quiet --test it layers
	tests/deny

# Every row, with whatever of benches/install-peers is there: half an hour. docs/PERFORMANCE.md says what the rows mean, and
# gets the tables. The plots want matplotlib, which comes with the peers.
bench: python
	$(CARGO) bench --bench codecs
	$(CARGO) bench --bench load -- --out benches/results
	python3 benches/fill.py benches/results
	[ ! -x target/bench-peers/bin/python ] || target/bench-peers/bin/python benches/plots.py benches/results

# A short look at the same rows.
bench-quick: python
	$(CARGO) bench --bench load -- --quick

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace

fmt:
	$(CARGO) fmt --all
