# Give BASE by digest where the image must come out the same again: make image BASE=debian@sha256:...
# `make image-root` runs these lines in a folder, where there is no container engine; it knows ARG, FROM, WORKDIR, COPY
# and RUN, so what needs more goes into src/build/image.sh.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
COPY src/build src/build
RUN src/build/deps.sh build image
COPY . .
RUN make build sbom
RUN src/build/image.sh /image

FROM scratch
ARG BASE
ARG VERSION=0.1.0-SNAPSHOT
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Shunt" \
      org.opencontainers.image.description="A kube-proxy replacement: Services in constant time, by eBPF, from one small daemon a node" \
      org.opencontainers.image.licenses="Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /image /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["/usr/bin/shunt"]
CMD ["run"]
