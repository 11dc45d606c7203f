#!/bin/sh
# Makes sure of what the named jobs need: on Debian as root it installs what is missing, otherwise it says what to
# install. Usage: deps.sh build|net|test|bench ...
set -eu

missing=

# need <what shows that it is there> <Debian package>
need() {
    case $1 in
        /*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac || missing="$missing $2"
}

for job in "$@"; do
    case $job in
        build)
            need make make
            need cc gcc
            need /usr/include/stdio.h libc6-dev
            need clang clang
            need /usr/include/bpf/bpf_helpers.h libbpf-dev
            need mvn maven
            need ip iproute2
            "$(dirname "$0")/jdk.sh" >/dev/null 2>&1 || missing="$missing openjdk-25-jdk-headless"
            ;;
        image) # what the image takes from Debian, beside libbpf
            need /etc/ssl/certs/ca-certificates.crt ca-certificates
            need nft nftables
            need iptables iptables
            need findmnt util-linux
            ;;
        image-root)
            need debootstrap debootstrap
            need setpriv util-linux
            ;;
        net)
            need nft nftables
            need iptables iptables
            need bpftool bpftool
            need nsenter util-linux
            need curl curl
            need iperf3 iperf3
            ;;
        test)
            need promtool prometheus
            need systemd-analyze systemd
            ;;
        bench)
            need conntrack conntrack
            ;;
        *)
            echo "deps.sh: no such job: $job" >&2
            exit 2
            ;;
    esac
done

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing here, by the names of Debian's packages:$missing" >&2
    echo "Install them (apt-get install --no-install-recommends$missing), or run make as root on Debian." >&2
    exit 1
fi

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
case $missing in
    *openjdk-25*)
        if [ -z "$(apt-cache madison openjdk-25-jdk-headless)" ]; then
            "$(dirname "$0")/jdk.sh" || exit 1
        fi
        ;;
esac
case $missing in
    *prometheus*)
        # Of this package the one program: installed, it would bring a server, and start it.
        missing=$(printf '%s' "$missing" | sed 's/ prometheus//')
        package=$(mktemp -d)
        (cd "$package" && apt-get -qq -o APT::Sandbox::User=root download prometheus >/dev/null)
        dpkg-deb --fsys-tarfile "$package"/prometheus_*.deb | tar -x -C /usr/local/bin --strip-components=3 ./usr/bin/promtool
        rm -r "$package"
        [ -n "$missing" ] || exit 0
        ;;
esac
# shellcheck disable=SC2086 # a list of packages
apt-get -qq install -y --no-install-recommends $missing >/dev/null
