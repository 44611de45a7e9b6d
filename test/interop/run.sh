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
# shellcheck source=prepare.sh
source "$here/prepare.sh"

lock_cache
prepare_python python "$here/requirements.txt"
prepare_go "$GRPCURL"
prepare_go "$GHZ"
prepare_go "$H2SPEC"
unlock_cache
[[ ${1:-} == --prepare ]] && exit

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The stubs are made from our proto/ by the tools that a Python user has. The rest of proto/ comes with grpcio's packages.
"$python/bin/python" -m grpc_tools.protoc -I "$root/proto" --python_out="$scratch" --grpc_python_out="$scratch" \
  "$root"/proto/scorewire/v1/*.proto
export PYTHONPATH=$scratch PYTHONPYCACHEPREFIX=$cache/pycache TMPDIR=$scratch
"$python/bin/python" -m pytest -c "$here/pytest.ini" "$here" "$@"
