# CoAP and TLS servers and clients: coap-server, coap-client, tls-serve, tls-resume.
#
#   docker build -t gnucoap .
#   docker run -p 5683:5683/udp -p 5684:5684/udp -p 5684:5684 -v /etc/tls:/tls:ro gnucoap
#
# BASE and LIBCOAP choose the libraries: with Debian 13 it is libcoap 4.3.4, and
# with Debian 11 4.2.1:
#
#   docker build --build-arg BASE=docker.io/library/debian:bullseye-slim \
#     --build-arg LIBCOAP=2 -t gnucoap:libcoap2 .
ARG GO_IMAGE=docker.io/library/golang:1.26
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${GO_IMAGE} AS go

FROM ${BASE} AS build
ARG LIBCOAP=3
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
    ca-certificates gcc libc6-dev libcoap${LIBCOAP}-dev libgnutls28-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
COPY --from=go /usr/local/go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /src
COPY . .
RUN CGO_ENABLED=1 go build -tags "libcoap${LIBCOAP}" -trimpath -ldflags=-s \
    -o /image/usr/local/bin/ \
    ./cmd/coap-client ./cmd/coap-probe ./cmd/coap-server ./cmd/tls-resume ./cmd/tls-serve
# The programs, the libraries they load and the authorities they trust. What stands in
# ldd's lines after an arrow or alone is a file.
RUN ldd /image/usr/local/bin/* | grep -o '/[^ :]* (' | tr -d ' (' | sort -u >/libraries \
 && ! ldd /image/usr/local/bin/* | grep 'not found' \
 && xargs cp --dereference --parents --target-directory=/image </libraries \
 && cp --parents --target-directory=/image /etc/ssl/certs/ca-certificates.crt
# The licences of all that: of the packages that the files are from, with the texts that
# these refer to, of Go, and of the modules.
RUN xargs realpath </libraries | sed 's|.*/|*/|' | xargs dpkg -S \
    | grep -v '^diversion ' | sed 's|:.*||' | sort -u >/packages \
 && echo ca-certificates >>/packages \
 && sed 's|.*|/usr/share/doc/&/copyright|' /packages \
    | xargs cp --dereference --parents --target-directory=/image \
 && cp --recursive --dereference --parents --target-directory=/image /usr/share/common-licenses \
 && mkdir /image/usr/share/doc/go /image/usr/share/doc/gnucoap \
 && cp --target-directory=/image/usr/share/doc/go /usr/local/go/LICENSE \
 && cp --target-directory=/image/usr/share/doc/gnucoap LICENSE \
 && if [ -d vendor ]; then cd vendor; else cd "$(go env GOMODCACHE)"; fi \
 && find . -path ./cache -prune -o -type f -name 'LICENSE*' \
    -exec cp --parents --target-directory=/image/usr/share/doc/gnucoap '{}' +

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/local/bin
# A number, so that Kubernetes' runAsNonRoot can check it.
USER 65532:65532
EXPOSE 5683/udp 5683/tcp 5684/udp 5684/tcp
# The servers that have to be there. With other arguments than those of CMD there may be
# no TLS: docker run -e COAP_PROBE=coap://127.0.0.1 gnucoap -v 6
ENV COAP_PROBE="coap://127.0.0.1 tls://127.0.0.1:5684"
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s CMD ["coap-probe"]
ENTRYPOINT ["coap-server"]
CMD ["-c", "/tls/cert.pem", "-j", "/tls/key.pem"]
