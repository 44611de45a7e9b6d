#!/usr/bin/env bash
# Clients that we did not write (Python's grpcio and h2, grpcurl, ghz, h2spec, Prometheus' parser), and clients that mean harm,
# against real servers of this checkout. Needs `npm ci`, Python 3.11, Go and openssl; fetches the rest once, into a cache
# outside the tree.
#
#   test/interop/run.sh              everything; one line a check, `N passed, N failed` at the end
#   test/interop/run.sh --prepare    only fetches
#   test/interop/run.sh -k health    what follows goes to pytest
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${SCOREWIRE_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/scorewire-interop}

GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
H2SPEC=github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
GHZ=github.com/bojand/ghz/cmd/ghz@v0.121.0

# Registries have bad minutes.
retry() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return
    echo "attempt $attempt failed: $*" >&2
    sleep $((attempt * 5))
  done
  return 1
}

# A virtual environment can't be moved, so it is made in place and marked when it is whole.
prepare_python() {
  python=$cache/python-$(cat "$here/requirements.txt" <(python3 --version) | sha256sum | cut -c1-16)
  [[ -e $python/whole ]] && return
  rm -rf "$python"
  python3 -m venv "$python"
  retry "$python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  touch "$python/whole"
}

# prepare_go MODULE@VERSION: the program's folder on the PATH.
prepare_go() {
  local folder=$cache/${1##*/}
  export PATH=$folder:$PATH
  [[ -d $folder ]] && return
  rm -rf "$folder.part"
  GOBIN=$folder.part retry go install "$1"
  mv "$folder.part" "$folder"
}

mkdir -p "$cache"
# Two runs at once must not fetch into each other. Not every system has flock.
exec 9>"$cache/lock"
flock 9 2>/dev/null || true
prepare_python
prepare_go "$GRPCURL"
prepare_go "$GHZ"
prepare_go "$H2SPEC"
exec 9>&-
[[ ${1:-} == --prepare ]] && exit

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The stubs are made from our proto/ by the tools that a Python user has. The rest of proto/ comes with grpcio's packages.
"$python/bin/python" -m grpc_tools.protoc -I "$root/proto" --python_out="$scratch" --grpc_python_out="$scratch" \
  "$root"/proto/scorewire/v1/*.proto
export PYTHONPATH=$scratch PYTHONPYCACHEPREFIX=$cache/pycache TMPDIR=$scratch
"$python/bin/python" -m pytest -c "$here/pytest.ini" "$here" "$@"
