#!/bin/bash
# A Service with three backends, balanced by eBPF, in network namespaces and cgroups of the demo's own. Exits 0 only if
# all that it shows held.
#
#   demo.sh                         run it, after make build; KEEP=1 leaves it running
#   demo.sh enter ID POD [COMMAND]  run a command, or a shell, in client, web-1, ... or node of a demo that was left
#   demo.sh clean ID                remove a demo that was left
set -Eeuo pipefail
PATH=$PATH:/usr/sbin:/sbin # which su leaves out

top=$(realpath --relative-to=. "$(dirname "$0")/..")
shunt=$top/target/shunt/bin/shunt
traffic=$top/target/traffic

pods=(client web-1 web-2 web-3 web-4)
service4=10.96.88.1 service6=fd00:96:88::1 # as in web/service.yaml
connections=300
fewest=60 # of 300 over three backends: an even choice gives one of them less once in a million runs
load_time=8s

# What a demo is called everywhere.
name_all() {
    id=$1
    prefix=shunt-demo-$id
    work=/run/$prefix
    bpf=/sys/fs/bpf/$prefix
    local cgroup2
    cgroup2=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET) ||
        fail "no cgroup2 file system is mounted here: mount -t cgroup2 none /sys/fs/cgroup"
    cgroup=$cgroup2/$prefix
}

fail() {
    echo "demo: $*" >&2
    exit 1
}

step() {
    echo
    echo "$bold$((++steps)). $*$plain"
}

say() {
    echo "   $*"
}

indent() {
    sed 's/^/   /'
}

# net <pod>: its network namespace
net() {
    echo "/run/netns/$prefix-$1"
}

# enter <pod> <command...>: becomes the command, in the pod's cgroup and network namespace. `ip netns exec` would hide
# /sys/fs.
enter() {
    local pod=$1
    shift
    echo "$BASHPID" >"$cgroup/$pod/cgroup.procs"
    exec nsenter --net="$(net "$pod")" -- "$@"
}

# start <pod> <log> <command...>: the same in the background, out of reach of the terminal's signals
start() {
    local pod=$1 log=$2
    shift 2
    (enter "$pod" setsid "$@" </dev/null >"$log" 2>&1) &
    disown
}

# ask <pod> <traffic's command...>: its reply
ask() {
    local pod=$1
    shift
    (enter "$pod" "$traffic" "$@") || true
}

# get <port> <path>: what the daemon answers
get() {
    nsenter --net="$(net node)" bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3 && cat <&3' "$@" 2>/dev/null
}

# await <seconds> <command...>: until it succeeds
await() {
    local tenths=$(($1 * 10))
    shift
    until "$@"; do
        ((tenths-- > 0)) || return 1
        sleep 0.1
    done
}

milliseconds() {
    echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# ---- The place ----

make_pod() {
    local pod=$1 host=$2
    ip netns add "$prefix-$pod"
    ip -n "$prefix-$pod" link set lo up
    mkdir "$cgroup/$pod"
    [ "$pod" != node ] || return 0
    ip -n "$prefix-$pod" link add eth0 type veth peer name "$pod" netns "$prefix-node"
    ip -n "$prefix-node" link set "$pod" master cni0 up
    ip -n "$prefix-$pod" link set eth0 up
    ip -n "$prefix-$pod" address add "10.88.0.$host/24" dev eth0
    ip -n "$prefix-$pod" address add "fd00:88::$host/64" dev eth0 nodad
}

make_place() {
    mkdir "$cgroup" || fail "cannot make a cgroup: run it as root, with $(dirname "$cgroup") writable"
    make_pod node 1
    ip -n "$prefix-node" link add cni0 type bridge
    ip -n "$prefix-node" link set cni0 up
    local host=10 pod
    for pod in "${pods[@]}"; do
        make_pod "$pod" $host
        [ "$pod" = client ] || serve "$pod" $host
        host=$((host + 1))
    done
    for pod in "${pods[@]:1}"; do
        await 10 serves "$pod" || fail "$pod does not serve: $(<"$work/$pod.log")"
    done
}

serve() {
    local pod=$1 v4=10.88.0.$2 v6=fd00:88::$2
    start "$pod" "$work/$pod.log" "$(realpath "$traffic")" \
        serve tcp "$v4" 8080 "$pod" -- serve tcp "$v6" 8080 "$pod" -- \
        serve udp "$v4" 5353 "$pod" -- serve udp "$v6" 5353 "$pod"
}

serves() {
    [ "$(grep -c '^ok' "$work/$1.log")" = 4 ]
}

# stop <pod or * for all>: ends the processes of its cgroup, which are the demo's alone
stop() {
    local signal
    for signal in TERM KILL; do
        # shellcheck disable=SC2086 # the star is to be expanded
        for pid in $(cat "$cgroup"/$1/cgroup.procs 2>/dev/null); do
            kill -"$signal" "$pid" 2>/dev/null || true
        done
        await 5 is_empty "$1" && return
    done
}

is_empty() {
    # shellcheck disable=SC2086
    [ -z "$(cat "$cgroup"/$1/cgroup.procs 2>/dev/null)" ]
}

clean() {
    stop '*'
    rm -rf "$bpf" # the links are pinned only here: this detaches the programs
    for pod in node "${pods[@]}"; do
        [ ! -e "$(net "$pod")" ] || ip netns delete "$prefix-$pod"
        [ ! -d "$cgroup/$pod" ] || await 5 rmdir "$cgroup/$pod" 2>/dev/null || true
    done
    [ ! -d "$cgroup" ] || await 5 rmdir "$cgroup" 2>/dev/null || fail "$cgroup cannot be removed"
    rm -rf "$work"
}

finish() {
    local status=$?
    trap '' INT TERM HUP
    trap - ERR
    set +e
    disown -a # bash need not tell how they end
    if [ $status -ne 0 ] && [ $status -lt 128 ] && [ -s "$work/shunt.log" ]; then
        echo
        echo "The daemon's last words:"
        tail -n 20 "$work/shunt.log" | indent
    fi
    if [ -n "${KEEP:-}" ] && [ $status -lt 128 ]; then
        tell_how_to_look
    else
        clean
    fi
    exit $status
}

tell_how_to_look() {
    local request="$traffic request $service4 80"
    ! command -v curl >/dev/null || request="curl http://$service4/"
    cat <<END

${bold}All of it is left running. To look around:${plain}

   $0 enter $id client $request
   $0 enter $id node $shunt service list -o wide
   $0 enter $id node $shunt status
   $shunt bpf dump --bpf-root $bpf
   tail -f $work/shunt.log

Edit $work/web/endpoints.yaml, and ask again. To end it:

   $0 clean $id
END
}

# ---- Who answered ----

# What `traffic load` counted: `answers` by name, `ok` and `failed` conversations, and why those failed.
read_load() {
    local words word
    read -r -a words <<<"$1"
    answers=() ok=0 failed=0 reasons=
    [ "${words[0]:-}" = ok ] || fail "the client could not make load: $1"
    for word in "${words[@]:2}"; do
        case $word in
            name:*=*)
                word=${word#name:}
                answers[${word%=*}]=${word#*=}
                ;;
            ok=*) ok=${word#*=} ;;
            *) failed=$((failed + ${word#*=})) reasons+=" $word" ;;
        esac
    done
}

kinds=(request request udp udp)
addresses=("$service4" "$service6" "$service4" "$service6")
ports=(80 80 53 53)
labels=("TCP $service4:80" "TCP [$service6]:80" "UDP $service4:53" "UDP [$service6]:53")
made=(0 0 0 0)

# print_answers <reply file prefix> <backend...>: a table of who answered each of the four addresses
print_answers() {
    local replies=$1 i backend
    shift
    printf '   %-24s' ''
    printf '%8s' "$@" failed
    echo
    for i in "${!labels[@]}"; do
        read_load "$(<"$replies.$i")"
        printf '   %-24s' "${labels[i]}"
        for backend in "$@"; do
            printf '%8s' "${answers[$backend]:-0}"
        done
        printf '%8s\n' "$failed"
        made[i]=$((made[i] + ok + failed))
        [ "$failed" = 0 ] || fail "${labels[i]}: $failed failed:$reasons"
    done
}

# connect_each <reply file prefix> <backend...>: as many connections as said, and just these backends answer them evenly
connect_each() {
    local replies=$1 i backend sum
    shift
    for i in "${!labels[@]}"; do
        ask client load "${kinds[i]}" "${addresses[i]}" "${ports[i]}" $connections >"$replies.$i"
    done
    print_answers "$replies" "$@"
    for i in "${!labels[@]}"; do
        read_load "$(<"$replies.$i")"
        sum=0
        for backend in "$@"; do
            ((${answers[$backend]:-0} >= fewest)) || fail "${labels[i]}: $backend had less than its share"
            sum=$((sum + answers[$backend]))
        done
        [ $sum = $connections ] || fail "${labels[i]}: $sum of $connections connections were answered by $*"
    done
}

is_in_force() {
    local services
    services=$(get 10249 /api/v1/services) &&
        [[ $services == *10.88.0.14:* && $services == *fd00:88::14* ]] &&
        [[ $services != *10.88.0.11:* && $services != *fd00:88::11* ]]
}

load_goes_on() {
    local pid
    for pid in "${loads[@]}"; do
        kill -0 "$pid" 2>/dev/null || fail "the load ended too early: $1 was to happen under load"
    done
}

change_under_load() {
    local i written now sum backend
    loads=()
    for i in "${!labels[@]}"; do
        ask client load "${kinds[i]}" "${addresses[i]}" "${ports[i]}" $load_time 2 >"$work/load.$i" &
        loads+=($!)
    done
    sleep 1
    load_goes_on "the change"
    cp "$work/web/endpoints.yaml" "$work/endpoints.before"
    written=$(milliseconds)
    sed -i -e 's/10\.88\.0\.11/10.88.0.14/' -e 's/fd00:88::11/fd00:88::14/' "$work/web/endpoints.yaml"
    until is_in_force; do
        now=$(milliseconds)
        ((now - written < 5000)) || fail "the change was not taken up within 5 s"
    done
    now=$(milliseconds)
    { diff "$work/endpoints.before" "$work/web/endpoints.yaml" || true; } | sed -n 's/^[<>]/   &/p'
    say "in force within $((now - written)) ms, by the daemon's own word"
    sleep 1 # web-1 finishes what it has, as a pod does before it ends
    stop web-1
    load_goes_on "the end of web-1"
    say "web-1 is stopped, while the load goes on"
    wait "${loads[@]}"
    print_answers "$work/load" "${pods[@]:1}"
    for i in "${!labels[@]}"; do
        read_load "$(<"$work/load.$i")"
        sum=0
        for backend in "${pods[@]:1}"; do
            [ "${answers[$backend]:-0}" -gt 0 ] || fail "${labels[i]}: $backend answered nobody"
            sum=$((sum + answers[$backend]))
        done
        [ $sum = $ok ] || fail "${labels[i]}: $ok connections, but $sum answers"
    done
}

# ---- No rules ----

show_rules() {
    local pod rules
    for pod in node "${pods[@]}"; do
        rules=$(nsenter --net="$(net "$pod")" bash -ec 'iptables-save; ip6tables-save; nft list ruleset') ||
            fail "the rules in $pod cannot be listed"
        rules=$(grep -v '^[#*:]\|^COMMIT$' <<<"$rules") || true # comments, empty tables, policies
        printf '   %-8s iptables-save, ip6tables-save, nft list ruleset: %s\n' "$pod" "${rules:-no rule}"
        [ -z "$rules" ] || fail "there is a rule in $pod"
    done
}

# ---- The daemon ----

start_daemon() {
    local before
    say "shunt run --source file:$work/web --cgroup-root $cgroup \\"
    say "    --bpf-root $bpf"
    before=$(milliseconds)
    start node "$work/shunt.log" "$(realpath "$shunt")" run --source "file:$work/web" --cgroup-root "$cgroup" \
        --bpf-root "$bpf" --hostname-override demo-node \
        --healthz-bind-address 127.0.0.1:10256 --metrics-bind-address 127.0.0.1:10249
    daemon=$!
    await 20 is_ready || fail "the daemon did not become ready"
    say "ready after $(($(milliseconds) - before)) ms"
}

is_ready() {
    local reply
    kill -0 $daemon 2>/dev/null || fail "the daemon ended"
    reply=$(get 10256 /readyz) && [[ ${reply%%$'\n'*} == *' 200 '* ]]
}

# One row each for the four addresses, with as many connections as the client made.
check_counts() {
    local i frontend counted
    for i in "${!labels[@]}"; do
        frontend="${labels[i]#* }/${labels[i]%% *}"
        counted=$(awk -v frontend="$frontend" '$4 == frontend { print $6 }' "$1")
        [ "$counted" = "${made[i]}" ] ||
            fail "the client made ${made[i]} connections to $frontend, and the kernel counted ${counted:-none}"
    done
    say "The kernel counted just the $((made[0] + made[1] + made[2] + made[3])) connections that the client made."
}

run() {
    [ "$(id -u)" = 0 ] || fail "it makes network namespaces and loads eBPF programs: run it as root"
    [ -x "$shunt" ] && [ -x "$traffic" ] || fail "it is not built: make demo does both"
    name_all $$
    mkdir -m 700 "$work" || fail "an earlier demo was left there: $0 clean $$"
    trap finish EXIT
    trap '[ $? -ge 128 ] || echo "demo: line $LINENO failed: $BASH_COMMAND" >&2' ERR
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    cp -r "$top/examples/web" "$work/web"

    step "A node, a client and four backends: each a network namespace and a cgroup, none with a route out"
    make_place
    local address reply
    for address in "$service4" "$service6"; do
        reply=$(ask client request "$address" 80)
        say "before Shunt runs, the client asks $address: $reply"
        [ "$reply" = "error ENETUNREACH" ] || fail "something else answers there"
    done

    step "The daemon, told of three of the backends by manifests"
    start_daemon

    step "$connections connections to each address of the Service: who answers?"
    connect_each "$work/first" web-1 web-2 web-3

    step "Under load, web-1 leaves the EndpointSlices and web-4 comes"
    change_under_load

    step "$connections connections more"
    connect_each "$work/second" web-2 web-3 web-4

    step "No rule does that"
    show_rules

    step "shunt service list"
    nsenter --net="$(net node)" "$shunt" service list >"$work/services" || fail "shunt service list failed"
    indent <"$work/services"
    check_counts "$work/services"

    step "shunt status"
    nsenter --net="$(net node)" "$shunt" status | indent || fail "shunt status says that it is not well"

    echo
    echo "${bold}All of it held: no connection failed, in $SECONDS s.$plain"
}

bold='' plain='' steps=0
[ ! -t 1 ] || bold=$'\e[1m' plain=$'\e[0m'
declare -A answers

case ${1:-run} in
    run) run ;;
    enter)
        [ $# -ge 3 ] || fail "usage: $0 enter ID POD [COMMAND...]"
        name_all "$2"
        [ -d "$cgroup/$3" ] || fail "there is no $3 of a demo $2"
        enter "$3" "${@:4}"
        ;;
    clean)
        [ $# = 2 ] || fail "usage: $0 clean ID; left are:" $(compgen -G '/run/shunt-demo-*' | sed 's/.*-//')
        name_all "$2"
        [ -d "$work" ] || fail "there is no demo $2"
        clean
        echo "The demo $2 is gone."
        ;;
    *) fail "usage: $0 [run | enter ID POD [COMMAND...] | clean ID]" ;;
esac
