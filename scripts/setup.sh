#!/usr/bin/env bash
# Installs what the build needs and is not there yet: Debian packages, LibTorch (a Python wheel) in .venv and, on a
# machine without a CUDA 13 toolkit, nvcc in the same place. Safe to run again at any time.
#
#   Torch_DIR=DIR               an own LibTorch (folder of TorchConfig.cmake): only Debian packages are installed
#   SHINE_WITH_MPI=OFF          leave OpenMPI out: no ranks on CPUs
#   SHINE_NVCC_FROM_WHEELS=1    take nvcc from the package index although the machine has one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TORCH_VERSION=2.11.0
readonly CUDA_WHEELS=(nvidia-cuda-nvcc nvidia-cuda-crt nvidia-nvvm nvidia-cuda-cccl)
readonly CUDA_WHEELS_VERSION=13.0
debian_packages=(
  g++ clang libclang-rt-dev cmake ninja-build pkg-config git ca-certificates ccache libyaml-cpp-dev libspdlog-dev
  nlohmann-json3-dev libpcre2-dev libsentencepiece-dev libutf8proc-dev libcli11-dev libgtest-dev libxxhash-dev libzstd-dev
  zlib1g-dev libedit-dev)
[[ ${SHINE_WITH_MPI:-ON} == OFF ]] || debian_packages+=(libopenmpi-dev openmpi-bin)
readonly PYTHON_PACKAGES=(python3 python3-venv)

if (($# > 0)); then
  printf 'setup: error: unknown argument %s (scripts/setup.sh takes none)\n' "$1" >&2
  exit 1
fi

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# Runs a command, showing its output only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then cat "$log" >&2; fi
  rm -f "$log"
  return "$status"
}

missing_packages() {
  local installed package
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qxF "installed $package" <<<"$installed" || printf '%s\n' "$package"
  done
}

install_debian_packages() {
  command -v dpkg-query >/dev/null ||
    fail "this is not a Debian system: install these packages' equivalents and see scripts/README.md, 'With your own LibTorch and toolkit': $*"
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]} > 0)) || return 0

  local as_root=()
  if ((EUID != 0)); then
    local line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if ! command -v sudo >/dev/null; then
      fail "packages are missing; as root, run: $line"
    elif sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    elif [[ -t 0 && -z ${CI:-} ]]; then
      sudo -v || fail "packages are missing; as root, run: $line"
      as_root=(sudo -n)
    else
      fail "packages are missing; as root, run: $line"
    fi
  fi
  say "installing Debian packages: ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  quietly "${apt[@]}" update || fail "apt-get update failed (see above)"
  quietly "${apt[@]}" install -y --no-install-recommends "${missing[@]}" || fail "apt-get install failed (see above)"
}

# True if the machine's own nvcc, the one that CMake would find, is of CUDA 13.
has_cuda_13() {
  [[ ${SHINE_NVCC_FROM_WHEELS:-0} != 1 ]] || return 1
  local nvcc
  for nvcc in "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" /usr/local/cuda/bin/nvcc "$(command -v nvcc || true)"; do
    if [[ -n $nvcc && -x $nvcc ]]; then
      [[ $("$nvcc" --version 2>/dev/null) == *"release 13."* ]]
      return
    fi
  done
  return 1
}

# True if the wheel NAME is completely installed in .venv at VERSION (a prefix); pip writes RECORD last.
has_wheel() {
  compgen -G ".venv/lib/python3*/site-packages/${1//-/_}-$2*.dist-info/RECORD" >/dev/null
}

install_wheels() {
  local missing=() wheel
  has_wheel torch "$TORCH_VERSION" || missing+=("torch==$TORCH_VERSION")
  if ! has_cuda_13; then
    for wheel in "${CUDA_WHEELS[@]}"; do
      has_wheel "$wheel" "$CUDA_WHEELS_VERSION." || missing+=("$wheel==$CUDA_WHEELS_VERSION.*")
    done
  fi
  ((${#missing[@]} > 0)) || return 0

  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "torch needs Python 3.10 or newer as python3"
    quietly python3 -m venv --clear .venv || fail "python3 -m venv .venv failed (see above)"
  fi
  # What an interrupted pip left half-installed has no RECORD; pip would take it for installed.
  local info
  for info in .venv/lib/python3*/site-packages/*.dist-info; do
    [[ -f $info/RECORD ]] || rm -rf "$info"
  done
  say "installing into .venv (torch with its libraries is about 4 GB): ${missing[*]}"
  quietly .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check "${missing[@]}" ||
    fail "pip install failed (see above)"
}

# The wheels hold lib/libX.so.13; CMake's CUDA modules look for lib64/ and libX.so.
link_cuda_wheels() {
  local root library link
  for root in .venv/lib/python3*/site-packages/nvidia/cu13; do
    [[ -x $root/bin/nvcc ]] || continue
    [[ -e $root/lib64 ]] || ln -sfn lib "$root/lib64"
    for library in "$root"/lib/lib*.so.[0-9]*; do
      link=${library%%.so.*}.so
      [[ -e $link ]] || ln -sfn "${library##*/}" "$link"
    done
  done
}

if [[ -n ${Torch_DIR:-} ]]; then
  install_debian_packages "${debian_packages[@]}"
else
  install_debian_packages "${debian_packages[@]}" "${PYTHON_PACKAGES[@]}"
  install_wheels
  link_cuda_wheels
fi
