# Sourced by the scripts: one way to choose a tool, to configure and to build.

unset CDPATH # cd would go elsewhere, and say so
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
script=$(cd "$(dirname "$0")" && pwd -P)/${0##*/}
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

# packages [GROUP]: what third_party/packages lists for this release and architecture of Debian, under all groups if none is named.
packages() {
  local release architecture
  release=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") || true
  architecture=$(dpkg --print-architecture 2>/dev/null) || true
  sed 's/#.*//' "$root/third_party/packages" | awk -v group="${1:-}" -v here=" $release $architecture " '
    split($1, name, /[:\/]/) && (group == "" || name[1] == group) &&
      (name[2] == "" || index(here, " " name[2] " ")) {
      for (i = 2; i <= NF; ++i) print $i
    }'
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

# quietly COMMAND...: its output is shown only if it fails. Kept in memory: the reason may be a full disk.
quietly() {
  local output status=0
  output=$("$@" 2>&1 </dev/null) || status=$?
  ((status == 0)) || echo "$output" >&2
  return "$status"
}

# lock DIR: nobody else configures or builds DIR from here to `unlock`; whoever does is waited for. Ends with us and with
# what we started, however they end.
lock() {
  local file
  file=$(dirname "$1")/.$(basename "$1").lock
  [[ -w $file || (! -e $file && -w $(dirname "$file")) ]] ||
    fail "cannot write in $(cd "$(dirname "$file")" && pwd): building needs a checkout that you may write in"
  command -v flock >/dev/null || return 0
  exec {locked}>>"$file"
  flock -n "$locked" && return
  echo "$script: another one is building in ${1#"$root"/}, waiting for it" >&2
  flock "$locked"
}

unlock() {
  [[ -z ${locked:-} ]] || exec {locked}>&-
  locked=
}

# settled DIR: waits for who is building in DIR, whose programs cannot be started meanwhile.
settled() { lock "$1" && unlock; }

# What a build directory cannot be used with any more once it has changed: the compiler, meson, and the processor that
# -march=native stood for.
surroundings() {
  local processor
  processor=$(grep -m 1 '^flags' /proc/cpuinfo 2>/dev/null | cksum) || true
  echo "${CXX:-} ${CXXFLAGS:-} ${LDFLAGS:-} $("$meson" --version) $processor"
}

# The packages that meson may have found, and their versions: it does not notice when they come or change.
packages_at_hand() {
  local all
  mapfile -t all < <(packages)
  { dpkg-query -W -f '${Package} ${db:Status-Status} ${Version}\n' "${all[@]}" || pkg-config --list-all; } 2>/dev/null |
    sort | cksum || true
}

# Where several flavours of OpenBLAS are installed, the alternatives system may prefer one with threads of its own.
prefer_openmp_blas() {
  local folder
  for folder in /usr/lib/*/openblas-openmp/pkgconfig; do
    [[ ! -d $folder ]] || export PKG_CONFIG_PATH=$folder${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  done
}

# moved DIR: whether DIR was configured in another place, or for the sources in another one. Prints that.
moved() {
  local info=$1/meson-info/meson-info.json source build
  source=$(sed -n 's/.*"source": "\([^"]*\)".*/\1/p' "$info" 2>/dev/null) || true
  build=$(sed -n 's/.*"build": "\([^"]*\)".*/\1/p' "$info" 2>/dev/null) || true
  [[ -n $source && -n $build ]] || return 1
  [[ $source != "$root" || $build != "$(cd "$1" && pwd -P)" ]] && echo "$build"
}

# configure DIR [OPTION...]: a directory that this function made for other options, surroundings or sources is made
# anew; one that was configured by hand keeps its options. Either looks again for what it needs once other packages are
# at hand. Sets meson and ninja, and leaves DIR locked.
configure() {
  local dir=$1 asked found before
  shift
  lock "$dir"
  meson=$(find_meson) || fail 'meson >= 1.0 is missing'
  ninja=$(find_ninja) || fail 'ninja >= 1.10 is missing'
  export NINJA=$ninja # left alone, meson takes the first on the PATH
  prefer_openmp_blas
  if [[ -f $dir/build.ninja && ! -f $dir/.configured ]]; then
    (($# == 0)) || fail "$dir was configured by hand: remove it, or leave out $*"
  fi
  [[ -z ${WENGERT_WERROR:-} ]] || set -- -Dwerror=true "$@" # CI sets it
  asked="$(surroundings) $*"
  found=$(packages_at_hand)
  if before=$(moved "$dir"); then
    echo "configuring ${dir#"$root"/} anew: it was made as $before" >&2
    quietly "$meson" setup --wipe "$dir" "$root" || fail "cannot configure $dir"
  fi
  if [[ -f $dir/.configured && $(<"$dir/.configured") != "$asked" ]]; then
    rm -rf "$dir"
  fi
  if [[ ! -f $dir/build.ninja ]]; then
    echo "configuring ${dir#"$root"/}" >&2
    mkdir -p "$dir"
    echo "$asked" >"$dir/.configured" # first: what is killed before its end was not configured by hand
    quietly "$meson" setup "$dir" "$root" "$@" || fail "cannot configure $dir"
  elif [[ ! -f $dir/.packages || $(<"$dir/.packages") != "$found" ]]; then
    echo "configuring ${dir#"$root"/} anew: other packages are at hand" >&2
    quietly "$meson" configure "$dir" --clearcache || fail "cannot configure $dir"
    quietly "$meson" setup --reconfigure "$dir" "$root" || fail "cannot configure $dir"
  fi
  echo "$found" >"$dir/.packages"
}

# build DIR [TARGET...]: after configure, whose lock it opens. On a terminal with the progress of ninja, elsewhere in
# silence unless it fails. Where there is ccache, meson uses it; it needs to be told that it may serve what reads a
# precompiled header.
build() {
  local dir=$1 show=quietly
  shift
  export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS-pch_defines,time_macros}
  if [[ $("$ninja" -C "$dir" -n "$@" 2>/dev/null) != *'no work to do.'* ]]; then
    echo "building ${*:-everything} in ${dir#"$root"/}" >&2
    [[ ! -t 2 ]] || show=on_terminal
    "$show" "$ninja" -C "$dir" "$@" || fail 'the build failed'
  fi
  unlock
}

# ninja rewrites one line where its output is a terminal.
on_terminal() { "$@" >&2 </dev/null; }
