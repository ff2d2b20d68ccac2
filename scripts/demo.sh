#!/usr/bin/env bash
# What the library does, shown on a real Kitex (`make demo` calls this).
#
# A C program calls a Kitex server, then a Kitex client calls a server in C: every kind of call and
# failure, one line each. Then the program krpc serves an IDL and calls it, and Kitex, without any code,
# and streams a text word by word.
# Without Go there is no Kitex; then the C program calls its own server.
# Exit code 0 if every line is as it should be.
set -euo pipefail
cd "$(dirname "$0")/.."

out=build/demo
library=target/release
mkdir -p "$out"

bold='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\033[1m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'
fi

started=()
finish() {
    for pid in "${started[@]+"${started[@]}"}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }

# The builds share the machine's cores; together they get this long, so that the demo ends soon even
# where nothing has been built before.
patience=150

# prepare NAME COMMAND…: starts a build in the background.
prepare() {
    local log=$out/$1.log
    shift
    timeout "$patience" "$@" >"$log" 2>&1 </dev/null &
    started+=($!)
}

# await NAME PID TEXT: waits for a build; on a failure shows how it ended.
await() {
    local code=0
    printf '%s ... ' "$3"
    wait "$2" || code=$?
    case $code in
        0) echo "done" ;;
        124) echo "not within $patience s" ;;
        *) echo "failed" && tail -20 "$out/$1.log" >&2 ;;
    esac
    return "$code"
}

# start NAME COMMAND…: starts a server and leaves the address that it prints in $address.
start() {
    local log=$out/$1.log tries=0
    shift
    : >"$log"
    "$@" >"$log" 2>&1 </dev/null &
    started+=($!)
    while ! address=$(awk 'tolower($1) == "listening" { print $NF; found = 1 } END { exit !found }' "$log"); do
        tries=$((tries + 1))
        if [ $tries -gt 200 ] || ! kill -0 "${started[-1]}" 2>/dev/null; then
            echo "the server did not start:" >&2
            cat "$log" >&2
            return 1
        fi
        sleep 0.05
    done
}

failed=0
heading() {
    echo
    say "$1"
    printf '        %-26s %-16s %8s  %s\n' call transport us "${2:-result}"
}

# kitex_case TRANSPORT CASE WHAT: one case of the Kitex client, as a row.
kitex_case() {
    local line colour=$green word=ok why=
    line=$("$peer" client -addr "$address" -transport "$1" -case "$2" 2>&1 | head -1) || true
    if [ "$line" != "ok $2" ]; then
        colour=$red word=FAIL why=$line failed=1
    fi
    printf '  %s%-4s%s  %-26s %-16s %8s  %s\n' "$colour" "$word" "$plain" "$2" "$1" '' "${why:-$3}"
}

# ---- build ------------------------------------------------------------------------------------------

compile_demo() {
    "${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -Wall -Wextra -Iinclude examples-c/demo/demo.c \
        -o "$out/demo" -L"$library" -lkrpc "-Wl,-rpath,$PWD/$library" -pthread
}

peer=
prepare library abi/build.sh release
library_build=${started[-1]}
if command -v go >/dev/null 2>&1; then
    prepare kitex tests/interop/kitex/build.sh build/interop/kitex
    kitex_build=${started[-1]}
fi
await library "$library_build" "building the library, release"
compile_demo
if [ -f cli/Cargo.toml ] && [ "$SECONDS" -lt 120 ]; then
    patience=$((165 - SECONDS)) # all in all less than three minutes
    prepare krpc cargo build --release --locked -p krpc-cli
    krpc_build=${started[-1]}
fi
if [ -z "${kitex_build:-}" ]; then
    echo "Go is not installed, so there is no Kitex to talk to: the C program calls a server in C."
elif await kitex "$kitex_build" "building Kitex v0.16.3, server and client"; then
    peer=build/interop/kitex/kitex-peer
else
    echo "There is no Kitex to talk to this time: the C program calls a server in C."
fi

# ---- C client -> Kitex server ------------------------------------------------------------------------

if [ -n "$peer" ]; then
    start kitex-server "$peer" server -listen 127.0.0.1:0
    heading "A C program calls a Kitex server at $address"
else
    start own-server "$out/demo" server
    heading "A C program calls a server in C at $address"
fi
"$out/demo" client "$address" || failed=1

# ---- Kitex client -> C server ------------------------------------------------------------------------

if [ -n "$peer" ]; then
    start c-server "$out/demo" server
    heading "A Kitex client calls a server in C at $address" "what Kitex checked"
    kitex_case ttheader-framed echo "texts, 70 kB, binaries, a thrown EchoError"
    kitex_case ttheader echo "the same"
    kitex_case framed echo "the same"
    kitex_case buffered echo "the same"
    kitex_case ttheader-framed second "two services have Echo: each call finds its own"
    kitex_case ttheader-framed metainfo "pairs beside the call, and back beside the answer"
    kitex_case ttheader-framed declared "exception of the IDL, with its fields"
    kitex_case ttheader-framed biz "business status 404 with two extra pairs"
    kitex_case ttheader-framed error "application exception, type 6, in Kitex's words"
    kitex_case ttheader-framed unknown-method "type 1, and the connection goes on"
    kitex_case ttheader-framed deadline "times out, and the late reply meets no other call"
    speed=$("$peer" bench-client -addr "$address" -size 5 -seconds 1 2>&1 | tail -1)
    calls=$(sed -n 's/.*"calls":\([0-9]*\).*/\1/p' <<<"$speed")
    p50=$(sed -n 's/.*"p50_us":\([0-9]*\).*/\1/p' <<<"$speed")
    printf '  %s%-4s%s  %-26s %-16s %8s  %s\n' "$green" ok "$plain" "Echo for one second" ttheader-framed "$p50" \
        "$calls calls, one after the other; the median is shown"
fi

# ---- the program krpc: an IDL instead of code -------------------------------------------------------

idl=tests/interop/idl/interop.thrift

# krpc_call ADDRESS METHOD JSON EXPECTED WHAT: one call of the program, as a row.
krpc_call() {
    local colour=$green word=ok said begin
    begin=$(date +%s%6N)
    said=$(target/release/krpc call --idl "$idl" -e "$1" -m "$2" -d "$3" -o compact 2>&1) || true
    local took=$(($(date +%s%6N) - begin))
    if [[ $said != *"$4"* ]]; then
        colour=$red word=FAIL failed=1
    fi
    printf '  %s%-4s%s  %-26s %-16s %8s  %s\n' "$colour" "$word" "$plain" "$2" ttheader-framed "$took" \
        "$3 -> $(tr '\n' ' ' <<<"$said" | cut -c1-60)"
}

# words: the text on stdin as messages of the stream, a word each.
words() {
    sed 's/[\\"]/\\&/g' | awk '{
        words = split($0, word, " ")
        for (i = 1; i == 1 || i <= words; i++)
            printf "{\"n\":%d,\"text\":\"%s%s\"}\n", ++n, i == 1 ? "\\n" : " ", word[i]
    }'
}

# as_if_typed: passes lines on, one every few milliseconds.
as_if_typed() {
    local line
    while IFS= read -r line; do
        printf '%s\n' "$line"
        sleep 0.01
    done
}

# show_words: the text of messages, as they come.
show_words() {
    local line
    while IFS= read -r line; do
        line=${line#*\"text\":\"}
        printf '%b' "${line%\"\}}"
    done
}

# stream_words PEER: sends a text to the peer at $address word by word, and prints what comes back.
stream_words() {
    local colour=$green word=ok begin sent=$out/words.sent received=$out/words.received
    begin=$(date +%s%6N)
    sed -n '/^## What it does/,/^## Limits/p' README.md | sed '1d;$d' | words >"$sent"
    as_if_typed <"$sent" |
        target/release/krpc call --idl tests/interop/idl/streams.thrift -e "$address" -m Streams/Bidi |
        tee "$received" | show_words || true
    local took=$(($(date +%s%6N) - begin))
    if ! [ -s "$sent" ] || ! cmp -s "$sent" "$received"; then
        colour=$red word=FAIL failed=1
    fi
    printf '\n  %s%-4s%s  %-26s %-16s %8s  %s\n' "$colour" "$word" "$plain" Streams/Bidi ttheader-stream "$took" \
        "$(wc -l <"$received") of $(wc -l <"$sent") words came back from $1"
}

if [ -n "${krpc_build:-}" ]; then
    echo
    if await krpc "$krpc_build" "building the program krpc, release"; then
        if [ -n "$peer" ]; then
            start kitex-again "$peer" server -listen 127.0.0.1:0
            heading "krpc call: an IDL and JSON, against the Kitex server"
            krpc_call "$address" Interop/Echo '{"message":"hi"}' '{"message":"hi"'
            krpc_call "$address" Interop/Add '{"a":9223372036854775000,"b":807}' 9223372036854775807
            krpc_call "$address" Interop/Fail '"declared"' EchoError
            krpc_call "$address" Interop/Ech '{}' 'did you mean'
        fi
        start krpc-serve target/release/krpc serve --idl "$idl" --listen 127.0.0.1:0
        heading "krpc serve: a server from the same IDL, called by krpc call"
        krpc_call "$address" Interop/Add '{"a":40,"b":2}' 40
        krpc_call "$address" Second/Echo2 '"to the mock"' 'to the mock'
        if [ -n "$peer" ]; then
            start kitex-streams "$peer" stream-server -listen 127.0.0.1:0
            heading "krpc call: a bidirectional stream, to a Kitex server and back, word by word"
            stream_words Kitex
        else
            start krpc-streams target/release/krpc serve --idl tests/interop/idl/streams.thrift --listen 127.0.0.1:0
            heading "krpc call: a bidirectional stream, to krpc serve and back, word by word"
            stream_words "krpc serve"
        fi
    fi
fi

echo
if [ "$failed" = 0 ]; then
    say "${green}Everything worked, in ${SECONDS} s."
else
    say "${red}Something did not work: see the lines that say FAIL."
fi
echo "examples-c/ has programs to start from, include/krpc.h explains every function."
exit "$failed"
