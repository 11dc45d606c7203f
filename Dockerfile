# Give BASE by digest where the image must come out the same again: make image BASE=debian@sha256:...
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
COPY src/build src/build
RUN src/build/deps.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make build
# The runtime holds only the modules that the jars use. The AOT cache names the runtime, the jars and their times,
# so it is made again for this layout, in the folder where it will be used. docker build may not load eBPF programs:
# the cache holds what the daemon reached before that.
RUN jdk=$(src/build/jdk.sh) \
 && mkdir /usr/lib/shunt \
 && cp -a target/shunt/bin target/shunt/lib /usr/lib/shunt/ \
 && "$jdk/bin/jlink" --output /usr/lib/shunt/runtime --no-header-files --no-man-pages \
      --add-modules "$("$jdk/bin/jdeps" --multi-release 25 --ignore-missing-deps --print-module-deps /usr/lib/shunt/lib/*.jar)" \
 && src/build/train.sh /usr/lib/shunt

FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libbpf1 \
 && rm -rf /var/lib/apt/lists/* \
 && ln -s ../lib/shunt/bin/shunt /usr/bin/shunt \
 && ln -s ../../lib/shunt/bin/shunt /usr/local/bin/kube-proxy
COPY --from=build /usr/lib/shunt /usr/lib/shunt
ENTRYPOINT ["/usr/bin/shunt"]
CMD ["run"]
