#!/usr/bin/env bash
# Everything a fresh Debian 12 machine needs, in one command:
#   ./setup.sh run [ARGS]   install what is missing, build, train examples/hello.r1 on real text
#   ./setup.sh test         install what is missing, build, run every test
#   ./setup.sh build        install what is missing, build
#   ./setup.sh data         the same, and the texts of examples/clean.r1
set -euo pipefail
cd "$(dirname "$0")"

# Lets ccache keep objects that use the precompiled header.
export CCACHE_SLOPPINESS=pch_defines,time_macros

packages=(
  llvm-22-dev libmlir-22-dev mlir-22-tools llvm-22-tools clang-22 lld-22 libclang-rt-22-dev
  cmake ninja-build ccache python3 ca-certificates
  libcli11-dev libre2-dev libsimdjson-dev libxxhash-dev libssl-dev libzstd-dev zlib1g-dev libsnappy-dev libicu-dev
  libcld2-dev zstd
  libsentencepiece-dev libgtest-dev nlohmann-json3-dev libopenmpi-dev openmpi-bin fortunes wordnet-base
)

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
  local missing=()
  for p in "${packages[@]}"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "installing: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      "${missing[@]}" >/dev/null
  fi
}

build() {
  install_missing
  # A configured tree reconfigures itself when a CMakeLists.txt changes.
  [ -f build/build.ninja ] || cmake --preset default >/dev/null
  ninja -C build --quiet
}

# The texts of examples/clean.r1 that a machine may lack: manual pages, English and Chinese (slim images
# leave them out of packages that they install), and WordNet's glosses.
make_data() {
  make_text
  [ -d build/data/usr/share/wordnet ] && return
  local debs=(manpages manpages-zh wordnet-base)
  (cd build/data && { apt-get download -qq "${debs[@]}" 2>/dev/null ||
      { as_root apt-get update -qq && apt-get download -qq "${debs[@]}"; } } &&
    for deb in *.deb; do dpkg-deb -x "$deb" . && rm "$deb"; done)
}

# The example's text: the quotations of Debian's `fortunes`, one paragraph each.
make_text() {
  local out=build/data/fortunes.txt
  [ -s "$out" ] && return
  mkdir -p build/data
  find /usr/share/games/fortunes -maxdepth 1 -type f ! -name '*.dat' ! -name 'ascii-art' | LC_ALL=C sort |
    while read -r f; do cat "$f"; echo '%'; done |
    tr -d '\000-\010\013-\037' | tr '\t' ' ' | sed 's/^%.*$//' > "$out.tmp"
  mv "$out.tmp" "$out"
}

run_tests() {
  local units=0 texts=0 fuzz=0
  make_data
  ctest --test-dir build --output-on-failure || units=$?
  lit-22 -sv test || texts=$?
  # A crash that half a minute finds is one that anybody would meet.
  test/fuzz/run 30 || fuzz=$?
  [ "$units" = 0 ] && [ "$texts" = 0 ] && [ "$fuzz" = 0 ]
}

case "${1:-}" in
build) build ;;
run)
  shift
  build
  make_text
  exec build/bin/r1c run examples/hello.r1 "$@"
  ;;
data)
  build
  make_data
  ;;
test)
  build
  run_tests
  ;;
*)
  sed -n '2,6p' "$0"
  exit 2
  ;;
esac
