# Stands in for the official rust image: this machine's toolchain (the build context) and a C compiler.
ARG BASE
FROM ${BASE}
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential ca-certificates cmake \
    && rm -rf /var/lib/apt/lists/*
COPY toolchain /usr/local/toolchain
# Certificates of this machine: where a proxy signs what the registry serves, only they verify it.
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/usr/local/toolchain/bin:$PATH \
    CARGO_HOME=/usr/local/cargo \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt
