#!/bin/sh
# Lists the packages in a virtual environment as CycloneDX JSON (SBOM).
#
#   scripts/sbom.sh VENV FILE
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cyclonedx=${CYCLONEDX:-$here/.venv/bin/cyclonedx-py}
# The tools of the environment are no part of the program.
"$1/bin/pip" uninstall --quiet --yes setuptools pip
# Reproducible: without the time and a random number.
"$cyclonedx" environment --output-reproducible --output-format JSON --output-file "$2" "$1/bin/python"
