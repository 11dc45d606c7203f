#!/bin/bash
# Lays out the image's root folder from target/shunt and the packages of the Debian that this runs in: the daemon with a
# runtime of its own, and of Debian only the files that it needs, so neither a shell nor a package manager.
# Usage: image.sh FOLDER
set -euo pipefail

root=$1
home=/usr/lib/shunt

# The runtime holds only the modules that the jars use.
jdk=$(src/build/jdk.sh)
rm -rf "$home" "$root"
mkdir -p "$home" "$root"
cp -a target/shunt/bin target/shunt/lib "$home/"
"$jdk/bin/jlink" --output "$home/runtime" --no-header-files --no-man-pages --strip-debug --compress zip-9 \
    --add-modules "$("$jdk/bin/jdeps" --multi-release 25 --ignore-missing-deps --print-module-deps "$home"/lib/*.jar)"

# Debian puts what debuggers want beside each library and into it. And Spring wants java.beans, which comes with a desktop
# that nobody sees: what is needed of it is not in C.
(cd "$home/runtime/lib" && find . -name '*.debuginfo' -delete && rm -f libawt*.so libfontmanager.so libfreetype.so libjavajpeg.so \
    libjawt.so libjsound.so liblcms.so libmlib_image.so libsplashscreen.so jexec psfont*)
# Nor does anybody here read a runtime from another one, record flights, or dump classes by list; sorting does without.
(cd "$home/runtime/lib" && rm -rf jrt-fs.jar jfr classlist libsimdsort.so)
find "$home/runtime" -name '*.so' -exec strip --strip-unneeded {} +

# The AOT cache names the runtime, the jars and their times, so it is made for this layout, in the folder where it will
# be used. An image build may not load eBPF programs: then the cache holds what the daemon reached before that.
src/build/train.sh "$home"
find "$home/runtime/bin" -type f ! -name java -delete

packages=" "

# Remembers the package that a file is of, if it is of one.
note() {
    local package
    package=$(dpkg-query --search "$1" 2>/dev/null | sed 's/[:,].*//' | head -n 1) || true
    [ -z "$package" ] || [[ $packages == *" $package "* ]] || packages+="$package "
}

# Copies a file or link of Debian's with what the link leads to.
take() {
    local path folder
    folder=$(realpath "$(dirname "$1")")
    path=$folder/$(basename "$1")
    [ ! -e "$root$path" ] || return 0
    mkdir -p "$root$folder"
    cp -a "$path" "$root$path"
    note "$path"
    [ ! -L "$path" ] || take "$(cd "$folder" && readlink -m "$(readlink "$path")")"
}

# The libraries that programs and libraries are linked to.
libraries_of() {
    { ldd "$@" 2>/dev/null || true; } | grep -oE '/[^ ):]+' | grep -vE "^$home|^($(IFS='|'; echo "$*"))\$" | sort -u
}

for folder in bin sbin lib lib64; do
    [ ! -L "/$folder" ] || cp -a "/$folder" "$root/"
done
mkdir -p "$root"/{dev,etc,host,proc,root,run,sys,tmp,usr/bin,usr/sbin,usr/local/bin,var/lib/dpkg/status.d,usr/share/sbom}
chmod 1777 "$root/tmp"
ln -s ../run "$root/var/run"

# What C loads by name, or starts: eBPF by libbpf; `shunt cleanup --kube-proxy-rules` by netfilter's tools.
loaded=("$(ldconfig -p | awk '$1 == "libbpf.so.1" { print $NF; exit }')" "$(ldconfig -p | awk '$1 == "libgcc_s.so.1" { print $NF; exit }')")
tools=(/usr/sbin/nft /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi)
mapfile -t extensions < <(find /usr/lib/*/xtables -name '*.so')
mapfile -t own < <(find "$home" -type f \( -name '*.so' -o -path '*/bin/*' \))
for file in "${loaded[@]}" "${tools[@]}" "${extensions[@]}" \
    $(libraries_of "${own[@]}" "${loaded[@]}" "${tools[@]}" "${extensions[@]}"); do
    take "$file"
done
for kind in nft legacy; do
    for tool in iptables ip6tables; do
        for verb in save restore; do
            ln -s "xtables-$kind-multi" "$root/usr/sbin/$tool-$kind-$verb"
        done
    done
done
take /etc/ssl/certs/ca-certificates.crt
packages+="ca-certificates "
note "$(realpath "$jdk/lib/server/libjvm.so")"

# Scanners look here for what an image is made of; licences want to be with what they are of.
for package in $packages; do
    dpkg-query --status "$package" > "$root/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done
install -D -m 644 LICENSE "$root/usr/share/doc/shunt/copyright"
install -m 644 src/main/bpf/LICENSE.* "$root/usr/share/doc/shunt/"
install -D -m 644 target/shunt.cdx.json "$root/usr/share/sbom/shunt.cdx.json"
take /etc/os-release
echo "hosts: files dns" > "$root/etc/nsswitch.conf"
printf '%s\n' root:x:0:0:root:/root:/none shunt:x:65532:65532:shunt:/:/none > "$root/etc/passwd"
printf '%s\n' root:x:0: shunt:x:65532: > "$root/etc/group"

# A daemon with root's user id and few capabilities cannot write to what is not root's, wherever it is mounted.
mkdir -p "$root$home"
cp -a "$home/." "$root$home/"
chown -R 65532:65532 "$root$home"
chmod -R a+rX,go-w "$root$home"
ln -s "../lib/shunt/bin/shunt" "$root/usr/bin/shunt"
ln -s "../../lib/shunt/bin/shunt" "$root/usr/local/bin/kube-proxy"
