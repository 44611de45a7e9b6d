#!/usr/bin/env bash
# Installs the peers that bench/peers.ts measures against, from PyPI and Debian alone: about 6 minutes and 2 GB.
# usage: bench/peers/install.sh [triton] [mlserver] [kserve] [fastapi] [pandas]   all of them by default
set -euo pipefail
to=${SCOREWIRE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/scorewire-peers}
mkdir -p "$to"

# venv NAME PACKAGE...
venv() {
  local name=$1
  shift
  [[ -x $to/$name/bin/python ]] || python3 -m venv "$to/$name"
  "$to/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
}

for peer in "${@:-triton mlserver kserve fastapi pandas}"; do
  for name in $peer; do
    case $name in
      triton)
        dpkg -s libb64-0d >/dev/null 2>&1 || apt-get install --quiet --yes --no-install-recommends libb64-0d >/dev/null
        venv triton nvidia-pytriton==0.7.0 onnxruntime==1.30.0
        ;;
      # Newer releases of uvloop lack what this MLServer asks of it.
      mlserver) venv mlserver mlserver==1.7.1 onnxruntime==1.30.0 'uvloop<0.22' ;;
      kserve) venv kserve kserve==0.21.0 onnxruntime==1.30.0 ;;
      fastapi) venv fastapi fastapi==0.165.0 'uvicorn[standard]==0.54.0' onnxruntime==1.30.0 ;;
      # For `npm run bench -- --only jobs`.
      pandas) venv pandas pandas==2.3.3 pyarrow==22.0.0 onnxruntime==1.30.0 ;;
      *) echo "there is no peer $name; there are triton, mlserver, kserve, fastapi and pandas" >&2 && exit 1 ;;
    esac
    echo "$name is in $to/$name"
  done
done
