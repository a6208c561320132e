#!/bin/bash
# setup.sh system|python ...: what building and testing need. Quick and silent when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $*" >&2; exit 1; }

system() {
  command -v swift >/dev/null || fail "no swift found: install Swift 6.2 or newer (https://www.swift.org/install)"
  local missing=()
  need() { "${@:2}" >/dev/null 2>&1 || missing+=("$1"); }
  need pkg-config command -v pkg-config
  need build-essential command -v cc
  need build-essential command -v c++
  need binutils command -v strip
  need libhdf5-dev pkg-config --exists hdf5
  need libturbojpeg0-dev pkg-config --exists libturbojpeg
  need libpng-dev pkg-config --exists libpng
  need libzip-dev pkg-config --exists libzip
  need libffi-dev pkg-config --exists libffi
  need libopenblas0-pthread has_library libopenblas.so.0
  need python3 python_is_new_enough
  need python3-venv "$(python)" -c 'import venv, ensurepip'
  [ ${#missing[@]} -eq 0 ] && return
  echo "setup: installing ${missing[*]}"
  command -v apt-get >/dev/null || fail "missing: ${missing[*]} (Debian's names; no apt-get here to install them)"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "missing: ${missing[*]}; run as root or with sudo: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# What a part can do without: the library of the onednn backend, if the system has a package of it.
optional() {
  has_library 'libdnnl\.so\.[23]' && return
  local sudo=() name
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || return 0
    sudo=(sudo -n)
  fi
  for name in libdnnl3 libdnnl2; do
    if apt-cache show "$name" >/dev/null 2>&1; then
      echo "setup: installing $name (optional)"
      "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$name" >/dev/null ||
        echo "setup: $name could not be installed; the onednn backend will be left out"
      return 0
    fi
  done
}

has_library() { { /sbin/ldconfig -p || ldconfig -p; } 2>/dev/null | grep -q "$1"; }

# The first Python of 3.9 or newer.
python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo false
}
python_is_new_enough() { [ "$(python)" != false ]; }

venv() {
  if ! .venv/bin/python -c 'import numpy, pytest' 2>/dev/null; then
    echo "setup: Python environment in .venv"
    [ -x .venv/bin/python ] || "$(python)" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'numpy>=1.22' pytest
  fi
}

for part in "$@"; do
  case "$part" in
    system)
      system
      optional
      ;;
    python) venv ;;
    *) fail "unknown part '$part'; there are system and python" ;;
  esac
done
