#!/bin/sh
# Prepares the Python peers:  build.sh OUT_DIR  ->  OUT_DIR/python-peer, OUT_DIR/thriftpy2-peer
#
# Installs Apache Thrift and thriftpy2 from PyPI into OUT_DIR/venv. Apache's needs code made by the Thrift
# compiler from ../idl/interop.thrift; without a compiler there is only thriftpy2-peer. Does nothing when no
# input has changed.
#
# Exit codes: 0 built or up to date, 1 failed, 2 usage, 3 something is missing that only the machine can have.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
# The last line tells why there is no python-peer, also when nothing has changed.
say() {
    if [ -x "$out/python-peer" ]; then
        echo "python-peer: $*"
    else
        echo "python-peer: needs thrift: apt-get install thrift-compiler (thriftpy2-peer is there)"
    fi
}
missing() { echo "python-peer: $*" >&2; exit 3; }

command -v python3 >/dev/null 2>&1 || missing "needs python3: apt-get install python3 python3-venv"
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"
here=$(pwd)
idl=../idl/interop.thrift
thrift=$(command -v thrift || true)

stamp=$out/python-peer.stamp
now=$(python3 --version; [ -z "$thrift" ] || "$thrift" --version; echo "$here"; cksum build.sh requirements.txt "$idl")
if [ -x "$out/thriftpy2-peer" ] && [ -f "$stamp" ] && [ "$now" = "$(cat "$stamp")" ]; then
    say "up to date"
    exit 0
fi
rm -rf "$stamp" "$out/venv" "$out/gen" "$out/python-peer" "$out/thriftpy2-peer"

python3 -m venv "$out/venv" >"$out/venv.log" 2>&1 || missing "needs Python's venv: apt-get install python3-venv"
"$out/venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt >"$out/pip.log" 2>&1 || {
    cat "$out/pip.log" >&2
    missing "needs the packages of requirements.txt from PyPI, and to build them: apt-get install python3-dev gcc g++"
}

# peer LIBRARY NAME: a program that runs ./peer.py with one of the libraries.
peer() {
    printf '#!/bin/sh\nexec "%s" -B "%s" %s "%s" "$@"\n' \
        "$out/venv/bin/python" "$here/peer.py" "$1" "$out/gen" >"$out/$2"
    chmod +x "$out/$2"
}
mkdir "$out/gen"
# To thriftpy2 `next` is a reserved word. Names of fields do not travel.
sed 's/optional Node next/optional Node following/' "$idl" >"$out/gen/interop.thrift"
peer thriftpy2 thriftpy2-peer
if [ -n "$thrift" ]; then
    "$thrift" --gen py -out "$out/gen" "$out/gen/interop.thrift" >"$out/thrift.log" 2>&1 || { cat "$out/thrift.log" >&2; exit 1; }
    peer apache python-peer
fi
printf '%s\n' "$now" >"$stamp"
say "built $out/python-peer and thriftpy2-peer"
