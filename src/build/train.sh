#!/bin/bash
# Makes the AOT cache of a layout: runs its daemon in a network namespace, cgroup and bpf root of its own, with files
# served in place of an API server, until it is ready, and lets the JVM write the cache as it ends. Where that is not allowed (not root, docker build) the daemon
# stops at the first thing it is refused, and the cache holds what came before. Usage: train.sh target/shunt
set -euo pipefail

home=$(realpath "$1")
work=$(mktemp -d)
cgroup2=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET || echo "$work")
cgroup=$cgroup2/shunt-train-$$
bpf=/sys/fs/bpf/shunt-train-$$

cleanup() {
    rm -rf "$bpf" # the links are pinned only here: this detaches the programs
    [ "$cgroup" = "$cgroup2" ] || [ ! -d "$cgroup" ] || rmdir "$cgroup"
    rm -rf "$work"
}
trap cleanup EXIT

# What a cluster's API server would list: files under the paths that are asked for.
api=$work/api
mkdir -p "$api/api/v1" "$api/apis/discovery.k8s.io/v1"
cat > "$api/api/v1/services" <<'EOF'
{"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [
 {"metadata": {"name": "web", "namespace": "train", "resourceVersion": "1"},
  "spec": {"type": "ClusterIP", "clusterIP": "198.51.100.1", "clusterIPs": ["198.51.100.1", "2001:db8:1::1"],
   "ipFamilies": ["IPv4", "IPv6"],
   "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]},
  "status": {"loadBalancer": {}}}]}
EOF
cat > "$api/apis/discovery.k8s.io/v1/endpointslices" <<'EOF'
{"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {"resourceVersion": "1"}, "items": [
 {"metadata": {"name": "web-4", "namespace": "train", "labels": {"kubernetes.io/service-name": "web"},
   "resourceVersion": "1"}, "addressType": "IPv4",
  "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5353, "protocol": "UDP"}],
  "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": true}, "nodeName": "train"},
   {"addresses": ["192.0.2.2"], "conditions": {"ready": true}}]},
 {"metadata": {"name": "web-6", "namespace": "train", "labels": {"kubernetes.io/service-name": "web"},
   "resourceVersion": "1"}, "addressType": "IPv6",
  "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "dns", "port": 5353, "protocol": "UDP"}],
  "endpoints": [{"addresses": ["2001:db8::1"], "conditions": {"ready": true}}]}]}
EOF
cat > "$api/api/v1/nodes" <<'EOF'
{"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [
 {"metadata": {"name": "train", "resourceVersion": "1"}, "spec": {},
  "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.254"}]}}]}
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
    "$home/runtime/bin/jwebserver" --bind-address 127.0.0.1 --port 0 --directory "$api" >"$work/server" 2>&1 &
    local server=$!
    for _ in $(seq 100); do
        ! grep -q '^URL ' "$work/server" || break
        sleep 0.1
    done
    cat > "$work/kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: train
contexts: [{name: train, context: {cluster: train}}]
clusters: [{name: train, cluster: {server: "$(sed -n 's/^URL //p' "$work/server")"}}]
EOF
    "$home/bin/shunt" run --hostname-override train --kubeconfig "$work/kubeconfig" --cgroup-root "$cgroup" --bpf-root "$bpf" \
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
    kill $server 2>/dev/null || true
    wait $server || true
    $ready
}

rm -f "$home/shunt.aot"
export SHUNT_JAVA_OPTS="-XX:AOTCacheOutput=$home/shunt.aot"
export -f get train
export home work api cgroup bpf own_network=false
if ! mkdir "$cgroup" 2>/dev/null; then
    # Who lacks CAP_BPF and CAP_SYS_ADMIN attaches nothing, so any cgroup does to get as far as that.
    effective=0x$(sed -n 's/^CapEff:[[:blank:]]*//p' /proc/self/status)
    (((effective >> 39 | effective >> 21) & 1)) || cgroup=$cgroup2
fi

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
