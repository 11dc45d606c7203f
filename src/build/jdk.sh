#!/bin/sh
# Prints the home of a JDK 25: JAVA_HOME if it is one, else the first under /usr/lib/jvm.
set -eu

for home in "${JAVA_HOME:-}" /usr/lib/jvm/*25*; do
    if [ -x "$home/bin/javac" ] && grep -q '^JAVA_VERSION="25[".]' "$home/release" 2>/dev/null; then
        echo "$home"
        exit 0
    fi
done

cat >&2 <<'EOF'
No JDK 25 found: JAVA_HOME does not point at one and /usr/lib/jvm has none.
  Debian 13:  apt-get install openjdk-25-jdk-headless
  Debian 12:  has none of its own; Eclipse Temurin's does (https://adoptium.net/installation/linux), package
              temurin-25-jdk. An unpacked archive does too: make JAVA_HOME=/path/to/jdk-25
EOF
exit 1
