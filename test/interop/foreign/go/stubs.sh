#!/usr/bin/env bash
# stubs.sh PYTHON PROTO MODULE: the stubs that a Go user of our proto/ would make, into packages of the module. Needs grpcio-tools in
# that Python, protoc-gen-go and protoc-gen-go-grpc on the PATH.
set -euo pipefail
python=$1 proto=$2 module=$3

name=$(sed -n 's/^module //p' "$module/go.mod")
options=("module=$name") files=()
# Our files don't name a Go package: that is for whoever makes stubs of them.
for package in scorewire/v1 inference; do
  for file in "$proto/$package"/*.proto; do
    file=${file#"$proto/"}
    files+=("$file")
    options+=("M$file=$name/${package//\//}")
  done
done
joined=$(IFS=,; echo "${options[*]}")
"$python" -m grpc_tools.protoc -I "$proto" --go_out="$module" --go_opt="$joined" --go-grpc_out="$module" --go-grpc_opt="$joined" "${files[@]}"
