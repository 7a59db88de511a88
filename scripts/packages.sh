#!/bin/sh
# Builds wheel, source distribution, SBOM and Debian packages of this tree.
#
#   scripts/packages.sh [FOLDER [SUITE...]]     by default dist, bookworm and trixie
#
# AFTERRUN_PYTHON is a Python with hatchling and cyclonedx-bom, by default that of .venv.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
python=${AFTERRUN_PYTHON:-$here/.venv/bin/python}
folder=${1:-$here/dist}
if [ $# -gt 1 ]; then shift; suites=$*; else suites='bookworm trixie'; fi
[ "$suites" != none ] || suites=
: "${SOURCE_DATE_EPOCH:=$(git -C "$here" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd "$here" && "$python" -m hatchling build -d "$work/dist" >/dev/null)
wheel=$(ls "$work"/dist/*.whl)
version=$(basename "$wheel" | cut -d- -f2)

"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" \
    "$wheel[holidays,postgres]"
"$work/venv/bin/afterrun" --version >&2
CYCLONEDX=$(dirname "$python")/cyclonedx-py "$here/scripts/sbom.sh" "$work/venv" \
    "$work/dist/afterrun_exporter-$version.cdx.json"

for suite in $suites; do
    "$here/scripts/build-deb-for.sh" "$suite" "$wheel" "$work/dist" >/dev/null
done
mkdir -p "$folder"
cp "$work"/dist/* "$folder"
ls "$folder" >&2
