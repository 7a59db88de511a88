#!/bin/sh
# Builds the Debian package of a wheel in a root of a Debian release, as root.
#
#   scripts/build-deb-for.sh SUITE WHEEL FOLDER         bookworm, trixie
#
# The dependencies come from PyPI, in the versions of constraints.txt.
set -eu

suite=$1 wheel=$2 folder=$3
here=$(cd "$(dirname "$0")/.." && pwd)
: "${SOURCE_DATE_EPOCH:=$(git -C "$here" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$here/scripts/debian-root.sh" make "$suite" "$root"
mkdir -p "$root/src/scripts" "$root/src/deploy" "$root/out"
cp -r "$here/deploy/debian" "$here/deploy/afterrun.service" "$root/src/deploy"
cp "$here/scripts/build-deb.sh" "$root/src/scripts"
cp "$here/constraints.txt" "$here/afterrun.yml" "$here/README.md" "$here/CHANGELOG.md" "$wheel" "$root/src"
# shellcheck disable=SC2016  # the shell in the root expands it
"$here/scripts/debian-root.sh" run "$root" sh -ec '
    apt-get -qq update
    apt-get -qq install python3-venv >/dev/null 2>&1
    cd /src && scripts/build-deb.sh *.whl /out >/dev/null'
mkdir -p "$folder"
cp "$root"/out/*.deb "$folder"
ls "$folder"/*~deb"$(. "$root/etc/os-release" && echo "$VERSION_ID")"_*.deb
