# The service tls-serve, and the tool tls-resume beside it.
#
#   docker build -t gnucoap/tls-serve .
#   docker run -p 8443:8443 -v /etc/tls:/tls:ro gnucoap/tls-serve \
#       -listen :8443 -cert /tls/cert.pem -key /tls/key.pem
ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm
ARG RUNTIME_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${GO_IMAGE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev libgnutls28-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN CGO_ENABLED=1 go build -trimpath -o /out/ ./cmd/tls-serve ./cmd/tls-resume

FROM ${RUNTIME_IMAGE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgnutls30 ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /usr/local/bin/
# A number, so that Kubernetes' runAsNonRoot can check it.
USER 65532:65532
EXPOSE 8443
ENTRYPOINT ["/usr/local/bin/tls-serve"]
