#!/bin/bash
# Starts the daemon from an image's root folder as a container would: read-only, in namespaces of its own, with only the
# capabilities that the chart gives. Serves one Service in a cgroup that holds nobody, and waits until it is ready.
# Usage: image-check.sh FOLDER. Needs root.
set -euo pipefail

root=$(realpath "$1")
work=$(mktemp -d)
cgroup2=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
cgroup=$cgroup2/shunt-image-$$
bpf=/sys/fs/bpf/shunt-image-$$
limit=135 # MB; 130 are meant

cleanup() {
    rm -rf "$bpf" # the links are pinned only here: this detaches the programs
    [ ! -d "$cgroup" ] || rmdir "$cgroup"
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "image-check: $*" >&2
    [ ! -s "$work/log" ] || cat "$work/log" >&2
    exit 1
}

for shell in sh bash dash busybox apt dpkg; do
    [ -z "$(find "$root" -name "$shell" -path '*bin/*')" ] || fail "there is a $shell in the image"
done
[ -z "$(find "$root" -xdev -perm /6000)" ] || fail "there are files with set-user-ID or set-group-ID in the image"
[ -z "$(find "$root/usr/lib/shunt" ! -user 65532)" ] || fail "some of the daemon's files are root's"

mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
mkdir "$cgroup"
cp -r examples/web "$work/services"
export root work cgroup bpf

# get PORT PATH: the answer's status line
get() {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return
    printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3
    head -n 1 <&3
    exec 3>&-
}

check() {
    ip link set lo up
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount -t tmpfs tmpfs "$root/tmp"
    mkdir "$root/tmp/services"
    cp "$work"/services/* "$root/tmp/services"
    local inside=(chroot "$root" /usr/bin/shunt) began=${EPOCHREALTIME/./}
    # The cache is used, or this fails.
    SHUNT_JAVA_OPTS=-XX:AOTMode=on "${inside[@]}" --version
    local began=${EPOCHREALTIME/./}
    setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon,+sys_chroot --inh-caps=-all \
        "${inside[@]}" run --source=file:/tmp/services --devices=none --cgroup-root="$cgroup" --bpf-root="$bpf" >"$work/log" 2>&1 &
    local daemon=$!
    for _ in $(seq 300); do
        kill -0 $daemon 2>/dev/null || return
        if get 10256 /readyz 2>/dev/null | grep -q ' 200'; then
            echo "ready in $(((${EPOCHREALTIME/./} - began) / 1000)) ms, $(awk '/^VmRSS/ { print int($2 / 1024) }' /proc/$daemon/status) MB resident"
            "${inside[@]}" status
            "${inside[@]}" service list
            "${inside[@]}" cleanup --kube-proxy-rules --dry-run
            kill -TERM $daemon
            wait $daemon
            return
        fi
        sleep 0.02
    done
    return 1
}
export -f check get
unshare --mount --propagation private --net --pid --fork --kill-child bash -euc 'mount -t proc proc /proc; check' ||
    fail "the daemon did not become ready"

megabytes=$(du --summarize --bytes "$root" | awk '{ print int(($1 + 999999) / 1000000) }')
echo "the image's files: $megabytes MB"
[ "$megabytes" -le $limit ] || fail "more than $limit MB"
