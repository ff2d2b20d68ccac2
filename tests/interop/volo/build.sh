#!/bin/sh
# Builds the peer on volo:  build.sh OUT_DIR  ->  OUT_DIR/volo-peer
#
# volo and what it needs come from crates.io, into a workspace of their own; the first build takes two cores some
# three minutes. Exit codes: 0 built or up to date, 1 build failed, 2 usage, 3 cargo not found.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
if ! command -v cargo >/dev/null 2>&1; then
    echo "volo-peer: needs cargo" >&2
    exit 3
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
if ! cargo build --locked --release --quiet --target-dir "$out/target" >"$out/volo.log" 2>&1; then
    cat "$out/volo.log" >&2
    # Without a registry there are no crates to build from.
    grep -Eq 'failed to (download|get|fetch|query)|unable to update registry' "$out/volo.log" && exit 3
    exit 1
fi
cp "$out/target/release/volo-peer" "$out/volo-peer.new"
mv "$out/volo-peer.new" "$out/volo-peer"
echo "volo-peer: built $out/volo-peer"
