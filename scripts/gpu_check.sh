#!/usr/bin/env bash
# Packs what checks this project on a machine with a GPU into one folder, to be carried there:
#
#   scripts/gpu_check.sh [--build build/release] [--output build/gpu-check]
#   build/gpu-check/run.sh          # there; needs python3 with the same version of torch, and no network
#
# The folder holds the built programs and tests, the libraries that they need beside LibTorch, the parity fixtures and the
# scripts that measure: less than 64 MiB. It says which glibc and libstdc++ it needs at least. run.sh takes less than eight
# minutes; see its head for what it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BUILD=build/release
OUTPUT=build/gpu-check
readonly LIMIT_MIB=64
readonly PROGRAMS=(shine_train shine_verify shine_test_rank shine_torch_tests bench_step bench_generate_lora bench_decode)
# Libraries of the system, which every machine that runs torch has. All others that are not LibTorch's are packed.
readonly SYSTEM='^(linux-vdso|ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libutil|libgcc_s|libstdc\+\+)\.so'

fail() {
  printf 'gpu_check: error: %s\n' "$1" >&2
  exit 1
}

while (($#)); do
  case $1 in
    --build) BUILD=${2:?} && shift 2 ;;
    --output) OUTPUT=${2:?} && shift 2 ;;
    *) fail "unknown argument $1 (see the head of scripts/gpu_check.sh)" ;;
  esac
done

# What the dynamic linker finds for the files given: a line "NAME PATH" each.
resolve() { ldd "$@" 2>/dev/null | awk '$2 == "=>" { print $1, $3 }' | sort -u; }

# LibTorch and what came with it, where the build found it.
TORCH_LIB=$(sed -n 's/^Torch_DIR:.*=\(.*\)\/share\/cmake\/Torch$/\1\/lib/p' "$BUILD/CMakeCache.txt")
[[ -e $TORCH_LIB/libtorch_cpu.so ]] || fail "no LibTorch is named in $BUILD/CMakeCache.txt (build first: scripts/build.sh)"
SITE=${TORCH_LIB%/torch/lib}
readonly TORCH_LIB SITE

# Whether a program or library itself, not another that it loads, is linked with MPI: then its form without MPI is taken.
# MPI's libraries ask for a newer glibc than ours, and one process needs none.
needs_mpi() { objdump -p "$1" | grep 'NEEDED.*libmpi' >/dev/null; }

build_target() {
  cmake --build "$BUILD" --target "$1" >/dev/null || fail "the target $1 cannot be built"
}

copy_programs() {
  local program found
  for program in "${PROGRAMS[@]}"; do
    found=$BUILD/bin/$program
    [[ -x $found ]] || fail "$found is not built (scripts/build.sh, with tests and benchmarks)"
    if needs_mpi "$found"; then
      build_target "${program}_without_mpi"
      found=$BUILD/bin/without_mpi/$program
    fi
    cp "$found" "$OUTPUT/bin/"
  done
}

# The library without MPI if there are two: MPI needs a newer glibc than ours, and one process does not need MPI.
copy_shine() {
  local found
  found=$(resolve "$OUTPUT/bin/shine_verify" | awk '/^libshine/ { print $2 }')
  if needs_mpi "$found"; then
    build_target shine_without_mpi
    found=$BUILD/lib/without_mpi/$(basename "$found")
  fi
  cp -L "$found" "$OUTPUT/lib/"
}

copy_libraries() {
  local name path
  while read -r name path; do
    [[ ! $name =~ $SYSTEM && $path != "$SITE"/* && $path != */cuda*/* && $path != "$PWD/$OUTPUT"/* ]] || continue
    [[ -e $path ]] || fail "$name, which the programs need, is not found"
    cp -L "$path" "$OUTPUT/lib/$name"
  done < <(LD_LIBRARY_PATH=$PWD/$OUTPUT/lib:$TORCH_LIB resolve "$OUTPUT"/bin/*)
}

copy_data() {
  mkdir -p "$OUTPUT/source/tests" "$OUTPUT/source/scripts/lib"
  cp -r tests/golden "$OUTPUT/source/tests/"
  cp scripts/bench_step.py "$OUTPUT/source/scripts/"
  cp scripts/lib/eager_step.py scripts/lib/eager_decoder.py "$OUTPUT/source/scripts/lib/"
  cp scripts/lib/gpu_check_run.sh "$OUTPUT/run.sh"
  chmod +x "$OUTPUT/run.sh"
}

# least SYMBOLS: the newest version of that name which any packed file asks for.
least() { objdump -T "$OUTPUT"/bin/* "$OUTPUT"/lib/* 2>/dev/null | grep -oE "\\b$1_[0-9.]+" | sort -Vu | tail -1 | sed 's/.*_//'; }

# Every library of every program must come from the folder, from LibTorch or from the system.
check_resolution() {
  local outside
  outside=$(LD_LIBRARY_PATH=$PWD/$OUTPUT/lib:$TORCH_LIB ldd "$OUTPUT"/bin/* "$OUTPUT"/lib/* | grep -v '^[^[:space:]].*:$' |
    while read -r name _ path _; do
      [[ $name =~ $SYSTEM || $name == /lib*/ld-linux* || $path == "$PWD/$OUTPUT"/* || $path == "$SITE"/* ||
        $path == */cuda*/* || $name == statically ]] || printf '%s %s\n' "$name" "$path"
    done | sort -u)
  [[ -z $outside ]] || fail "libraries from outside the folder and LibTorch: ${outside//$'\n'/, }"
}

[[ $OUTPUT != /* ]] || fail "--output $OUTPUT: a folder below this one is needed"
rm -rf "$OUTPUT"
mkdir -p "$OUTPUT/bin" "$OUTPUT/lib"
copy_programs
copy_shine
copy_libraries
strip --strip-unneeded "$OUTPUT"/bin/* "$OUTPUT"/lib/*
copy_data
check_resolution
TORCH=$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$SITE/torch/version.py")
GLIBC=$(least GLIBC)
GLIBCXX=$(least GLIBCXX)
REVISION=$(git describe --always --dirty 2>/dev/null || printf unknown)
printf 'TORCH=%q\nGLIBC=%q\nGLIBCXX=%q\nREVISION=%q\n' "$TORCH" "$GLIBC" "$GLIBCXX" "$REVISION" >"$OUTPUT/needs"

SIZE=$(du -sk --apparent-size "$OUTPUT" | awk '{ printf "%.1f", $1 / 1024 }')
printf '%s: %s MiB (limit %s); needs glibc %s, a libstdc++ with GLIBCXX_%s, torch %s\n' "$OUTPUT" "$SIZE" "$LIMIT_MIB" \
  "$GLIBC" "$GLIBCXX" "$TORCH"
awk "BEGIN { exit !($SIZE < $LIMIT_MIB) }" || fail "$OUTPUT holds $SIZE MiB, the limit is $LIMIT_MIB"
