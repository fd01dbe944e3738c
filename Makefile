# Two commands do all: `make demo` shows what the gateway does, `make test` passes the tests.
# What they need beyond Rust, a C compiler, Python 3.11 and make they install themselves, below target/.

CARGO ?= cargo

.PHONY: build demo run test check bench docs fmt

build:
	$(CARGO) build

# Starts a gateway with a model inside the binary, sends one streamed chat before and one after its filters are
# installed, shows both side by side, and ends.
demo: build
	target/debug/sluicegate demo --tour

# The same gateway, until Ctrl-C.
run: build
	target/debug/sluicegate demo

test:
	$(CARGO) test --workspace

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	$(CARGO) test --quiet --test it layers
	tests/deny

bench:
	$(CARGO) bench --bench codecs
	$(CARGO) bench --bench load

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace

fmt:
	$(CARGO) fmt --all
