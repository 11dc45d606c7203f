#!/bin/bash
# Makes the AOT cache of a layout: runs its daemon in a network namespace, cgroup and bpf root of its own until it is
# ready, and lets the JVM write the cache as it ends. Where that is not allowed (not root, docker build) the daemon
# stops at the first thing it is refused, and the cache holds what came before. Usage: train.sh target/shunt
set -euo pipefail

home=$(realpath "$1")
work=$(mktemp -d)
cgroup=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET || echo "$work")/shunt-train-$$
bpf=/sys/fs/bpf/shunt-train-$$

cleanup() {
    rm -rf "$bpf" # the links are pinned only here: this detaches the programs
    [ ! -d "$cgroup" ] || rmdir "$cgroup"
    rm -rf "$work"
}
trap cleanup EXIT

mkdir "$work/manifests"
cat > "$work/manifests/web.yaml" <<'EOF'
apiVersion: v1
kind: Service
metadata: {name: web, namespace: train}
spec:
  type: ClusterIP
  clusterIP: 198.51.100.1
  clusterIPs: [198.51.100.1, "2001:db8:1::1"]
  ipFamilies: [IPv4, IPv6]
  ports:
  - {name: http, port: 80, protocol: TCP}
  - {name: dns, port: 53, protocol: UDP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, namespace: train, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 5353, protocol: UDP}]
endpoints:
- {addresses: [192.0.2.1], conditions: {ready: true}}
- {addresses: [192.0.2.2], conditions: {ready: true}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, namespace: train, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 5353, protocol: UDP}]
endpoints:
- {addresses: ["2001:db8::1"], conditions: {ready: true}}
EOF

# get <port> <path>: the answer's status line
get() {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return
    printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
    head -n 1 <&3
    exec 3>&-
}

train() {
    ! $own_network || ip link set lo up
    "$home/bin/shunt" run --source "file:$work/manifests" --cgroup-root "$cgroup" --bpf-root "$bpf" \
        >"$work/log" 2>&1 &
    local daemon=$! ready=false
    for _ in $(seq 600); do
        kill -0 $daemon 2>/dev/null || break
        if get 10256 /readyz 2>/dev/null | grep -q ' 200'; then
            ready=true
            get 10249 /metrics >/dev/null 2>&1 || true
            break
        fi
        sleep 0.1
    done
    kill -TERM $daemon 2>/dev/null || true
    wait $daemon || true
    $ready
}

rm -f "$home/shunt.aot"
export SHUNT_JAVA_OPTS="-XX:AOTCacheOutput=$home/shunt.aot"
export -f get train
export home work cgroup bpf own_network=false
[ "$(id -u)" -ne 0 ] || mkdir "$cgroup" 2>/dev/null || true

if unshare --net true 2>/dev/null; then
    own_network=true
    unshare --net bash -c train
else
    train
fi || {
    echo "The daemon did not become ready here, so the AOT cache is made from what it reached. It said:"
    # What the JVM says of its work is left out.
    grep -vE '\[aot|AOT|^Picked up' "$work/log" | tail -n 5
} >&2

# A cache that is missing or cannot be used passes unseen otherwise.
test -s "$home/shunt.aot"
SHUNT_JAVA_OPTS=-XX:AOTMode=on "$home/bin/shunt" --version >/dev/null
