# The gateway with a Python environment for functions, run by a user without rights.
#
#   docker build -t sluicegate .
#   docker run --init -p 8080:8080 -v sluicegate:/var/lib/sluicegate -e SLUICEGATE_ADMIN_KEY -e OPENAI_API_KEY sluicegate

FROM rust:1.95-slim-bookworm AS build
# The image's own toolchain, rather than another download of what rust-toolchain.toml names.
ENV RUSTUP_TOOLCHAIN=1.95
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
COPY src src
COPY filters filters
# The manifest names their files; nothing of them is built.
COPY tests tests
COPY benches benches
RUN cargo build --release --locked

FROM python:3.11-slim-bookworm AS environment
COPY --from=build /build/target/release/sluicegate /usr/local/bin/
COPY filters /tmp/filters
# Checking functions makes the base environment, the same that a gateway makes for itself on first need. Where that
# fails, the functions do not load, and the build stops.
RUN sluicegate check --data-dir /tmp/made --functions-dir /tmp/filters \
    && mkdir /opt/sluicegate \
    && mv /tmp/made/python/environments/base-* /opt/sluicegate/python

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/sluicegate sluicegate \
    && install -d -m 700 -o sluicegate -g sluicegate /var/lib/sluicegate
COPY --from=environment /usr/local/bin/sluicegate /usr/local/bin/
# Outside the data folder, so that a volume mounted there does not hide it.
COPY --from=environment /opt/sluicegate /opt/sluicegate
ENV SLUICEGATE_LISTEN=0.0.0.0:8080 \
    SLUICEGATE_DATA_DIR=/var/lib/sluicegate \
    SLUICEGATE_PYTHON_INTERPRETER=/opt/sluicegate/python/bin/python \
    SLUICEGATE_PYTHON_BASE=false
USER sluicegate
WORKDIR /var/lib/sluicegate
VOLUME /var/lib/sluicegate
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["sluicegate"]
CMD ["serve"]
