#!/bin/bash
# Makes the image's root folder by the Dockerfile's own lines where there is no container engine: FROM is a Debian that
# debootstrap makes, RUN is chroot with the capabilities that docker build gives. Then starts the daemon from that folder,
# read-only, in a network namespace and cgroup of its own, and waits until it is ready.
# Usage: image-root.sh FOLDER. DEBIAN_MIRROR names another mirror. Needs root and debootstrap.
set -euo pipefail

work=$(realpath -m "$1")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# As docker build has them.
capabilities=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap

declare -A args
stage=
directory=/

fail() {
    echo "image-root: $*" >&2
    exit 1
}

# What stands for ${NAME}.
expand() {
    local text=$1 name
    for name in "${!args[@]}"; do
        text=${text//\$\{$name\}/${args[$name]}}
    done
    echo "$text"
}

# from IMAGE [AS NAME]
from() {
    stage=$work/${3:-root}
    directory=/
    rm -rf "$stage"
    mkdir -p "$stage"
    if [ "$1" = scratch ]; then
        return
    fi
    local suite
    suite=$(sed -nE 's/^debian:([a-z]+)(-slim)?$/\1/p' <<<"$1")
    if [ ! -e "$work/base.tar" ]; then
        debootstrap --variant=minbase "${suite:-trixie}" "$stage" "$mirror" >"$work/debootstrap.log" ||
            fail "debootstrap failed: see $work/debootstrap.log"
        rm -rf "$stage"/var/cache/apt/archives/*.deb
        tar -C "$stage" -cf "$work/base.tar.new" .
        mv "$work/base.tar.new" "$work/base.tar"
    else
        tar -C "$stage" -xf "$work/base.tar"
    fi
}

# copy [--from=NAME] WHAT WHERE
copy() {
    local source=. to
    if [[ $1 == --from=* ]]; then
        source=$work/${1#--from=}
        shift
    fi
    to=$stage/$([[ $2 == /* ]] || echo "$directory/")$2
    mkdir -p "$to"
    local skip=()
    if [ "$source" = . ]; then
        mapfile -t skip < <(sed 's|^|--exclude=./|' .dockerignore)
    fi
    tar -C "$source/$1" "${skip[@]}" -cf - . | tar -C "$to" -xpf -
}

# run COMMAND: what is mounted for it goes with it
run() {
    cp /etc/resolv.conf "$stage/etc/resolv.conf"
    unshare --mount --pid --cgroup --fork --kill-child bash -euc '
        mount -t proc proc "$1/proc"
        mount -t sysfs -o ro sysfs "$1/sys"
        mount -t cgroup2 -o ro cgroup2 "$1/sys/fs/cgroup"
        mount --rbind /dev "$1/dev"
        if [ -d "$HOME/.m2/repository" ]; then # what Maven has fetched already
            mkdir -p "$1/root/.m2/repository"
            mount --bind "$HOME/.m2/repository" "$1/root/.m2/repository"
        fi
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
            chroot "$1" setpriv --bounding-set="$2" --inh-caps=-all sh -c "cd \"\$0\" && $3" "$4"
    ' sh "$stage" "$capabilities" "$1" "$directory" </dev/null
}

build() {
    local line verb rest name
    while read -r line; do
        verb=${line%% *}
        rest=$(expand "${line#* }")
        echo "image-root: $verb $rest"
        case $verb in
            ARG)
                name=${rest%%=*}
                [[ $rest != *=* ]] || args[$name]=${!name:-${rest#*=}}
                ;;
            FROM) from $rest ;;
            WORKDIR)
                directory=$rest
                mkdir -p "$stage$directory"
                ;;
            COPY) copy $rest ;;
            RUN) run "$rest" ;;
            LABEL | ENV | ENTRYPOINT | CMD) ;; # the engine's, not the folder's
            *) fail "the Dockerfile has a line that is not known here: $line" ;;
        esac
    done < <(sed -e ':join' -e '/\\$/{N;s/ *\\\n */ /;bjoin' -e '}' -e '/^#/d' -e '/^$/d' Dockerfile)
}

mkdir -p "$work"
build
src/build/image-check.sh "$stage"
