#!/usr/bin/env bash
# Clients of other servers, unmodified, against ours: of Triton (with its perf_analyzer), KServe and TensorFlow Serving; grpcurl and ghz;
# MLPerf's LoadGen; a Go program whose stubs are made from our proto/; and ONNX's backend cases, each served and compared.
# Needs `npm ci`, Python 3.11, Go, openssl and, for perf_analyzer, Debian's libb64-0d; fetches the rest once, into a cache outside the tree.
#
#   test/interop/foreign/run.sh              everything; one line a check, `N passed, N failed` at the end
#   test/interop/foreign/run.sh --prepare    only fetches
#   test/interop/foreign/run.sh -k stream    what follows goes to each pytest
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
# shellcheck source=../prepare.sh
source "$here/../prepare.sh"

lock_cache
# Each has its own idea of what protobuf's runtime is: grpcio-tools for Go, and the clients one by one.
prepare_python tools "$here/../requirements.txt"
prepare_python triton "$here/requirements-triton.txt"
prepare_python kserve "$here/requirements-kserve.txt"
prepare_python tensorflow "$here/requirements-tensorflow.txt"
prepare_go "$GRPCURL"
prepare_go "$GHZ"
prepare_go "$PROTOC_GEN_GO"
prepare_go "$PROTOC_GEN_GO_GRPC"
(cd "$here/go" && retry go mod download)
unlock_cache
[[ ${1:-} == --prepare ]] && exit

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONPYCACHEPREFIX=$cache/pycache TMPDIR=$scratch
export FOREIGN_COUNTS=$scratch/counts FOREIGN_REPOSITORIES=$scratch/repositories
export FOREIGN_DESCRIPTORS=$scratch/descriptors.binpb FOREIGN_GO=$scratch/go

mapfile -t protos < <(cd "$root/proto" && find . -name '*.proto' -printf '%P\n' | sort)
"$tools/bin/python" -m grpc_tools.protoc -I "$root/proto" --include_imports --descriptor_set_out="$FOREIGN_DESCRIPTORS" "${protos[@]}"
cp -r "$here/go" "$FOREIGN_GO"
"$here/go/stubs.sh" "$tools/bin/python" "$root/proto" "$FOREIGN_GO"
(cd "$here" && "$triton/bin/python" -m tools.repository "$FOREIGN_REPOSITORIES")

passed=0 failed=0
# suite PYTHON FILE...: where pytest itself gave up, there is no count of it.
suite() {
  local python=$1 code=0 good bad
  : >"$FOREIGN_COUNTS"
  "$python/bin/python" -m pytest -c pytest.ini "${@:2}" "${arguments[@]}" || code=$?
  if read -r good bad <"$FOREIGN_COUNTS"; then
    passed=$((passed + good)) failed=$((failed + bad))
    # 5: none that was asked for.
    ((code == 0 || code == 5 || bad > 0)) || failed=$((failed + 1))
  else
    failed=$((failed + 1))
  fi
}

arguments=("$@")
cd "$here"
suite "$triton" test_triton_*.py test_programs.py test_loadgen.py test_go.py test_conformance.py
suite "$kserve" test_kserve.py
suite "$tensorflow" test_tensorflow.py
((passed + failed > 0)) || failed=1
echo
echo "$passed passed, $failed failed"
((failed == 0))
