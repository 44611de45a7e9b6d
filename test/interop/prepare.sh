# What both suites fetch, and where they keep it: outside the tree, so that a clean clone need not fetch again. To be sourced.
cache=${SCOREWIRE_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/scorewire-interop}
# The server reads what begins so as a setting, and would refuse this one.
unset SCOREWIRE_INTEROP_CACHE

GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
H2SPEC=github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
GHZ=github.com/bojand/ghz/cmd/ghz@v0.121.0
PROTOC_GEN_GO=google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC=google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

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

# prepare_python VARIABLE REQUIREMENTS: sets it to the folder of a virtual environment with what the file pins. It can't be moved,
# so it is made in place and marked when it is whole.
prepare_python() {
  local folder
  folder=$cache/python-$(cat "$2" <(python3 --version) | sha256sum | cut -c1-16)
  printf -v "$1" %s "$folder"
  [[ -e $folder/whole ]] && return
  rm -rf "$folder"
  python3 -m venv "$folder"
  retry "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$2"
  touch "$folder/whole"
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

# Two runs at once must not fetch into each other. Not every system has flock.
mkdir -p "$cache"
lock_cache() {
  exec 9>"$cache/lock"
  flock 9 2>/dev/null || true
}

unlock_cache() {
  exec 9>&-
}
