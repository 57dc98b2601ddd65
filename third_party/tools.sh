# Sourced by the scripts: one way to choose a tool, to configure and to build.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=$(cd "$(dirname "$0")" && pwd)/${0##*/}
script=${script#"$root"/}

fail() {
  echo "$script: $*" >&2
  exit 1
}

# tool NAME [VERSION]: the first NAME on the PATH that runs and is at least that new. The first one found may be the
# shim of a version manager that has nothing behind it, with Debian's own further down the PATH.
tool() {
  local path version
  while read -r path; do
    version=$("$path" --version 2>/dev/null </dev/null) || continue
    if (($# == 1)) || printf '%s\n' "$2" "${version%%$'\n'*}" | sort -VC; then
      echo "$path"
      return
    fi
  done < <(type -aP "$1")
  return 1
}

find_meson() { tool meson 1.0; }
find_ninja() { tool ninja 1.10; }

# Other versions lay the same text out differently.
find_clang_format() {
  local name path
  for name in clang-format-14 clang-format; do
    if path=$(tool "$name") && [[ $("$path" --version) == *' version 14.'* ]]; then
      echo "$path"
      return
    fi
  done
  return 1
}

# quietly COMMAND...: its output is shown only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  ((status == 0)) || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# What a configured build directory depends on without noticing: the compiler, meson, and the processor that
# -march=native stood for.
surroundings() {
  local processor
  processor=$(grep -m 1 '^flags' /proc/cpuinfo 2>/dev/null | cksum) || true
  echo "${CXX:-} ${CXXFLAGS:-} ${LDFLAGS:-} $("$meson" --version) $processor"
}

# Where several flavours of OpenBLAS are installed, the alternatives system may prefer one with threads of its own.
prefer_openmp_blas() {
  local folder
  for folder in /usr/lib/*/openblas-openmp/pkgconfig; do
    [[ ! -d $folder ]] || export PKG_CONFIG_PATH=$folder${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  done
}

# configure DIR [OPTION...]: a directory that this function made for other options or surroundings is made anew; one
# that was configured by hand is used as it is. Sets meson and ninja.
configure() {
  local dir=$1 asked
  shift
  meson=$(find_meson) || fail 'meson >= 1.0 is missing'
  ninja=$(find_ninja) || fail 'ninja >= 1.10 is missing'
  export NINJA=$ninja # left alone, meson takes the first on the PATH
  prefer_openmp_blas
  asked="$(surroundings) $*"
  if [[ -f $dir/build.ninja ]]; then
    if [[ ! -f $dir/.configured ]]; then
      (($# == 0)) || fail "$dir was configured by hand: remove it, or leave out $*"
      return 0
    fi
    [[ $(<"$dir/.configured") != "$asked" ]] || return 0
    rm -rf "$dir"
  fi
  quietly "$meson" setup "$dir" "$root" "$@" || fail "cannot configure $dir"
  echo "$asked" >"$dir/.configured"
}

# build DIR [TARGET...]: after configure. Where there is ccache, meson uses it; it needs to be told that it may serve
# what reads a precompiled header.
build() {
  local dir=$1
  shift
  export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS-pch_defines,time_macros}
  echo "building ${*:-everything} in ${dir#"$root"/}" >&2
  quietly "$ninja" -C "$dir" "$@" || fail 'the build failed'
}
