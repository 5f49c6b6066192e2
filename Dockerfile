# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/caac-hub . \
 && mkdir -m 0700 /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/caac-hub /caac-hub
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV CAAC_MODE=production \
    CAAC_LISTEN=0.0.0.0:8080 \
    CAAC_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/caac-hub", "health"]
ENTRYPOINT ["/caac-hub"]
CMD ["serve"]
