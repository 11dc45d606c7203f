# Shunt: everything that is done with the tree. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

IMAGE ?= shunt:dev
BASE ?= debian:trixie-slim
PACKETS ?= 10000000
SEED ?= 1
CC := cc

HOME_DIR := target/shunt
JDK = $$(src/build/jdk.sh)
# Maven's own libraries use what JDK 25 warns of.
MVN = JAVA_HOME="$(JDK)" MAVEN_OPTS="--sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED" \
      mvn --batch-mode --no-transfer-progress
SOURCES := pom.xml $(shell find src/main/java src/main/resources src/main/bpf -type f 2>/dev/null)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: root build target/traffic ## balance a Service over three backends by eBPF, and watch it happen; KEEP=1 leaves it running
	@KEEP=$(KEEP) examples/demo.sh

test: root build ## run all tests: against the kernel, in network namespaces, as root
	@src/build/deps.sh test
	@$(MVN) test

unit: deps ## run the tests that need no root
	@src/build/deps.sh test
	@$(MVN) test -DexcludedTags=kernel,process

fuzz: root deps ## compare the packet programs with their model for PACKETS (10000000) random packets; SEED=7 makes others
	@$(MVN) test -Dtest=PacketFuzzTest -Dshunt.fuzz.packets=$(PACKETS) -Dshunt.fuzz.seed=$(SEED)

bench: root build ## measure, and write the results with a plot to docs/benchmarks/; ONLY=connect measures one part
	@src/build/deps.sh bench
	@$(MVN) -q test-compile dependency:build-classpath -Dmdep.outputFile=$(CURDIR)/target/bench.classpath
	@"$(JDK)/bin/java" --enable-native-access=ALL-UNNAMED -Dshunt.home=$(HOME_DIR) \
	  -cp "target/test-classes:target/classes:$$(cat target/bench.classpath)" io.shunt.bench.Bench docs/benchmarks $(ONLY)

build: deps $(HOME_DIR)/shunt.aot ## lay out target/shunt/bin/shunt with its jars and AOT cache

fmt: deps ## format the Java sources
	@$(MVN) -q spotless:apply

docs: deps ## write docs/configuration.md, docs/metrics.md and the chart's table of values anew, from what the program says
	@$(MVN) -q test -Dtest=ConfigurationDocTest,MetricsDocTest,ValuesTest -Dshunt.docs.write=true

image: ## build the container image IMAGE (shunt:dev), with docker, on BASE
	@command -v docker >/dev/null || { echo "make image needs docker, and there is none here" >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "make image needs a docker daemon, and none answers here" >&2; exit 1; }
	@docker build --build-arg BASE=$(BASE) --build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE) .

image-root: rootuser ## run the Dockerfile's lines in target/image without docker, and start the daemon from what comes of it
	@src/build/deps.sh image-root
	@BASE=$(BASE) src/build/image-root.sh target/image

sbom: deps ## list what the jars are, in target/shunt.cdx.json (CycloneDX)
	@$(MVN) -q org.cyclonedx:cyclonedx-maven-plugin:makeBom -DprojectType=application -DincludeTestScope=false \
	  -DoutputFormat=json -DoutputName=shunt.cdx

clean: ## remove all that was built
	@rm -rf target

# What the rest needs. Quick when all is there.
deps:
	@src/build/deps.sh build

root: rootuser
	@src/build/deps.sh net
	@mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf

rootuser:
	@[[ $$(id -u) = 0 ]] || { echo "This needs root: it loads eBPF programs and makes network namespaces" >&2; exit 1; }

target/shunt.jar: $(SOURCES) | deps
	@$(MVN) -q package -Dmaven.test.skip=true
	@touch $@

$(HOME_DIR)/lib/shunt.jar: target/shunt.jar
	@rm -rf $(@D)
	@"$(JDK)/bin/java" -Djarmode=tools -jar $< extract --destination $(@D) --libraries .
	@touch $@

$(HOME_DIR)/bin/shunt: src/main/launcher/shunt.c | deps
	@mkdir -p $(@D)
	@$(CC) -D_GNU_SOURCE -Os -s -Wall -Wextra -Werror $< -o $@

# A link to the JDK; what stands for it is the file that changes with the JDK.
$(HOME_DIR)/runtime/release: | deps
	@mkdir -p $(HOME_DIR)
	@ln -sfn "$(JDK)" $(HOME_DIR)/runtime

$(HOME_DIR)/shunt.aot: $(HOME_DIR)/lib/shunt.jar $(HOME_DIR)/bin/shunt $(HOME_DIR)/runtime/release src/build/train.sh
	@src/build/train.sh $(HOME_DIR)

# The Maven build makes it too, for the tests.
target/traffic: src/test/c/traffic.c src/test/c/Makefile | deps
	@$(MAKE) -s -C $(<D)

.PHONY: help demo test unit fuzz bench build fmt docs image image-root sbom clean deps root rootuser
