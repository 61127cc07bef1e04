#!/usr/bin/env bash
# Checks and measures this project on the machine it is on, from this folder alone (see scripts/gpu_check.sh):
#
#   ./run.sh [--device cuda|cpu] [--output FOLDER]        PYTHON=python3 by default: one that has torch
#
# Tests of GPU code, the parity fixtures in float32 and bfloat16, NCCL with one rank, CUDA graphs of decoding and of the
# M2P; then training steps, LoRA generation and decoding, and the same step in eager PyTorch, with transformers where it is
# installed; in the time that is left, steps with the M2P's CUDA graphs, the eager step and decoding of the largest size,
# and memcheck of a few kernels where compute-sanitizer is installed. Each part has a time limit, and all together eight
# minutes; a part that fails does not stop the others. One table comes last; the exit status is 1 if a part failed or found
# no time, except for those last ones, which may be cut off. With --device cpu, everything but the GPU: small sizes, to see
# that the folder is complete.
# shellcheck disable=SC2317  # summaries and exported functions are called by name
set -uo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE

# The tests (GoogleTest filters): all that need a GPU but those of CUDA graphs, these, and those that memcheck repeats.
readonly GPU_TESTS='*Cuda*:*Gpu*-*GpuDecoding*:*GpuM2pGraph*'
readonly GRAPH_TESTS='*GpuDecoding*:*GpuM2pGraph*'
readonly MEMCHECK_TESTS='*GpuKernels.RmsNormOfATransposedTensor/*:*GpuKernels.SwiGlu/*:*GpuAdamW.HasTheSameBitsEveryTime/*'
readonly CPU_TESTS='LoraLinear*:LinearCrossEntropy*:Parity*'
readonly TOTAL_SECONDS=465

DEVICE=cuda
OUTPUT=$HERE/results
PYTHON=${PYTHON:-python3}

fail() {
  printf 'run.sh: error: %s\n' "$1" >&2
  exit 1
}

while (($#)); do
  case $1 in
    --device) DEVICE=${2:?} && shift 2 ;;
    --output) OUTPUT=${2:?} && shift 2 ;;
    *) fail "unknown argument $1 (see the head of run.sh)" ;;
  esac
done
[[ $DEVICE == cuda || $DEVICE == cpu ]] || fail "--device $DEVICE: use cuda or cpu"

# shellcheck source=/dev/null
source "$HERE/needs"
TORCH_FOUND=$("$PYTHON" -c 'import torch; print(torch.__version__, torch.__path__[0])' 2>/dev/null) ||
  fail "$PYTHON has no torch (set PYTHON to one that has version $TORCH)"
readonly TORCH_VERSION=${TORCH_FOUND%% *} TORCH_PATH=${TORCH_FOUND#* }
[[ $TORCH_VERSION == "$TORCH" ]] || fail "torch is $TORCH_VERSION here; the programs were built for $TORCH"
IFS=: read -ra FOLDERS_BEFORE <<<"${LD_LIBRARY_PATH:-}"
export LD_LIBRARY_PATH=$HERE/lib:$TORCH_PATH/lib
for runtime in "$TORCH_PATH"/../nvidia/*/lib/libcudart.so.*; do
  [[ ! -e $runtime ]] || LD_LIBRARY_PATH+=:$(dirname "$runtime")
done
for folder in "${FOLDERS_BEFORE[@]}"; do  # the driver's library may be found by the caller's path alone
  [[ -z $folder || ! -e $folder/libcuda.so.1 ]] || LD_LIBRARY_PATH+=:$folder
done
export SHINE_SOURCE_DIR=$HERE/source SHINE_BIN_DIR=$HERE/bin
cd "$SHINE_SOURCE_DIR" || exit 1

mkdir -p "$OUTPUT" || exit 1
rm -f "$OUTPUT/worst-differences.txt"
OUTPUT=$(cd "$OUTPUT" && pwd)
rm -f "$OUTPUT"/*
ROWS=()
FAILED=0

row() { ROWS+=("$(printf '%-28s %-8s %5s  %s' "$1" "$2" "$3" "$4")"); }

# part NAME LIMIT SUMMARY COMMAND..: runs it within LIMIT seconds and what is left of all; SUMMARY makes a line of its log.
# With MAY_BE_CUT=1 a lack of time is no failure.
part() {
  local name=$1 limit=$2 summary=$3 left=$((TOTAL_SECONDS - SECONDS)) start=$SECONDS status=0 result=ok
  local log=$OUTPUT/${name//[ ,]/-}.log
  shift 3
  ((left < limit)) && limit=$left
  if ((limit < 5)); then
    row "$name" "no time" - "after $SECONDS s of $TOTAL_SECONDS"
    ((${MAY_BE_CUT:-0})) || FAILED=1
    return
  fi
  printf '== %s (at most %d s)\n' "$name" "$limit"
  timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null || status=$?
  local figures
  figures=$("$summary" "$log")
  case $status in
    0) ;;
    124 | 137) result=timeout ;;
    *) result=FAILED ;;
  esac
  [[ $result == ok && $figures =~ ^(none|not all) ]] && result=FAILED
  if [[ $result == timeout ]] && ((${MAY_BE_CUT:-0})); then
    result='cut off'
  elif [[ $result != ok ]]; then
    FAILED=1
    tail -25 "$log"
    [[ $figures != none* ]] || figures=$(last_line "$log")
  fi
  row "$name" "$result" $((SECONDS - start)) "$figures"
}

# Summaries: one line from a log, from a JSON file beside it.
last_line() { tail -1 "$1" | cut -c1-150; }
tests_of() {
  local passed skipped
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$1")
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$1")
  ((${passed:-0} > 0)) || passed=none
  # What needs a GPU says so by skipping itself: on one, all must run.
  [[ $DEVICE == cpu || ${skipped:-0} == 0 ]] || printf 'not all ran: '
  printf '%s passed, %s skipped' "$passed" "${skipped:-0}"
}
gpu_tests_of() {
  tests_of "$1"
  grep '^worst difference' "$1" >>"$OUTPUT/worst-differences.txt"
  printf ', %s with their worst difference in worst-differences.txt' "$(wc -l <"$OUTPUT/worst-differences.txt")"
}
folders_of() { awk '/ compared, / { folders++; split($0, word, ": "); numbers += word[2] + 0 }
                   END { printf "%d folders, %d numbers compared", folders, numbers }' "$1"; }
figures_of() { "$PYTHON" - "${1%.log}.json" <<'END'
import json, os, sys
if not os.path.exists(sys.argv[1]):
    raise SystemExit(print("none written"))
found = json.load(open(sys.argv[1]))
if "cases" in found:
    print("; ".join(f"{case['case']}: {case['ratio']:.2f} x eager ({case['tokens_per_second']:.0f} against "
                    f"{case['eager_tokens_per_second']:.0f} tokens/s), memory {case['memory_share']:.2f}"
                    for case in found["cases"]))
elif "runs" in found:
    print("; ".join(f"batch {run['batch']}: {run['decode_tokens_per_second']:.0f} tokens/s, "
                    f"{100 * run['floor_share']:.0f} % of the floor" for run in found["runs"]))
else:
    print(f"{found['tokens_per_second']:.0f} tokens/s, {100 * found['floor_share']:.0f} % of the floor "
          f"({1e-12 * found['product_flops_per_second']:.2f} TFLOP/s), {found['peak_memory_bytes'] / 2**30:.2f} GiB")
END
}

# bench NAME LIMIT PROGRAM ARGUMENTS..: with the figures as JSON beside the log.
bench() {
  local name=$1 limit=$2 program=$3
  shift 3
  part "$name" "$limit" figures_of "$HERE/bin/$program" --device "$DEVICE" "$@" --json "$OUTPUT/${name//[ ,]/-}.json"
}

programs_start() {
  local program
  for program in "$HERE"/bin/*; do
    ! ldd "$program" | grep 'not found' || return 1
  done
  "$HERE/bin/shine_verify" --version
}

nccl_contract() {  # the program ends with 75 on purpose, to show that an early end keeps its status
  "$HERE/bin/shine_test_rank" gpu 60 -
  (($? == 75))
}
export -f programs_start nccl_contract
export HERE

printf 'shine %s with torch %s on %s; needs glibc %s and GLIBCXX_%s\n' "$REVISION" "$TORCH" "$DEVICE" "$GLIBC" "$GLIBCXX"
if [[ $DEVICE == cuda ]]; then
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || fail "no GPU answers nvidia-smi"
  "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || fail "torch finds no GPU that it can use"
fi
part programs 10 last_line bash -c programs_start
FIXTURES=(tests/golden/fixtures/*)
# What is required has limits that add up to less than TOTAL_SECONDS.
if [[ $DEVICE == cuda ]]; then
  part "GPU tests" 50 gpu_tests_of "$HERE/bin/shine_torch_tests" --gtest_filter="$GPU_TESTS"
  part "CUDA graphs" 20 gpu_tests_of "$HERE/bin/shine_torch_tests" --gtest_filter="$GRAPH_TESTS"
  part "fixtures float32" 40 folders_of "$HERE/bin/shine_verify" --quiet --device cuda "${FIXTURES[@]}"
  part "fixtures, all fused" 30 folders_of "$HERE/bin/shine_verify" --quiet --device cuda --fused on "${FIXTURES[@]}"
  part "fixtures bfloat16" 20 folders_of "$HERE/bin/shine_verify" --quiet --device cuda --fused on --dtype bfloat16 \
    tests/golden/fixtures/base_[01]
  part "NCCL, one rank" 15 last_line bash -c nccl_contract
  FORMS=(off on)
  STEP=(--dtype bfloat16 --ops 0 --steps 5)
  SIZES=(0.6b 8b)
  DECODE=(--batch 8 --dtype bfloat16 --new-tokens 64 --repeats 3)
  PAIRS=(--size 0.6b --cases bfloat16 --pairs 3 --steps 5 --program-options "--fused on")
else
  export OMP_NUM_THREADS=1
  part "tests" 120 tests_of "$HERE/bin/shine_torch_tests" --gtest_filter="$CPU_TESTS"
  part "fixtures float32" 120 folders_of "$HERE/bin/shine_verify" --quiet --device cpu tests/golden/fixtures/b*_[01]
  FORMS=(on)
  STEP=(--dtype float32 --ops 0 --steps 3)
  SIZES=(tiny)
  DECODE=(--new-tokens 16 --repeats 2)
  PAIRS=(--size tiny --cases float32 --pairs 1 --steps 2 --threads 1)
fi
for size in "${SIZES[@]}"; do
  for form in "${FORMS[@]}"; do
    bench "step $size, fused $form" 25 bench_step --size "$size" --fused "$form" "${STEP[@]}"
  done
  bench "LoRA $size" 20 bench_generate_lora --size "$size" --fused on --dtype "${STEP[1]}"
  [[ $size == "${SIZES[0]}" ]] || continue
  for graph in off on; do
    bench "decode $size, graph $graph" 13 bench_decode --size "$size" --fused on --cuda-graph "$graph" "${DECODE[@]}"
  done
  bench "decode $size, LoRA rank 8" 13 bench_decode --size "$size" --fused on --cuda-graph on --lora-rank 8 "${DECODE[@]}"
done
BESIDE=("$PYTHON" scripts/bench_step.py --program "$HERE/bin/bench_step" --device "$DEVICE")
"$PYTHON" -c 'import transformers' 2>/dev/null || BESIDE+=(--decoder torch)
part "beside eager PyTorch" 90 figures_of "${BESIDE[@]}" "${PAIRS[@]}" --json "$OUTPUT/beside-eager-PyTorch.json"
if [[ $DEVICE == cuda ]]; then
  MAY_BE_CUT=1 bench "step 0.6b, M2P graph on" 25 bench_step --size 0.6b --fused on --m2p-graph on "${STEP[@]}"
  MAY_BE_CUT=1 part "beside eager PyTorch, 8b" 75 figures_of "${BESIDE[@]}" --size 8b --cases bfloat16 --pairs 1 --steps 3 \
    --warmup 1 --program-options "--fused on" --json "$OUTPUT/beside-eager-PyTorch--8b.json"
  MAY_BE_CUT=1 bench "decode 8b, graph on" 30 bench_decode --size 8b --fused on --cuda-graph on "${DECODE[@]}"
  SANITIZER=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  if [[ -n $SANITIZER ]]; then
    MAY_BE_CUT=1 part memcheck 75 last_line "$SANITIZER" --tool memcheck --error-exitcode 9 "$HERE/bin/shine_torch_tests" \
      --gtest_filter="$MEMCHECK_TESTS"
  else
    row memcheck absent - "compute-sanitizer is not installed"
  fi
fi

printf '\n%-28s %-8s %5s  %s\n' part result s figures
printf '%s\n' "${ROWS[@]}" | tee "$OUTPUT/table.txt"
printf '%d s in all; logs and figures in %s\n' "$SECONDS" "$OUTPUT"
exit "$FAILED"
