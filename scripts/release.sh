#!/bin/sh
# Builds a release: checks, tag, wheel, source distribution, SBOM, Debian packages, image.
#
#   scripts/release.sh VERSION               everything, into dist/VERSION, and the tag
#   scripts/release.sh --dry-run VERSION     everything but the tag
#   scripts/release.sh --python VERSION      without Debian packages and image
#
# It publishes nothing: docs/releasing.md lists the commands that do.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
python=$here/.venv/bin/python
suites='bookworm trixie'
# Checks write nothing, also not the index of git.
export GIT_OPTIONAL_LOCKS=0

say() {
    printf '%s\n' "$@" >&2
}

dry_run=no only_python=no version=
for argument; do
    case $argument in
        --dry-run) dry_run=yes ;;
        --python) only_python=yes ;;
        -*) say "unknown option $argument"; sed -n '3,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
        *)
            [ -z "$version" ] || { say "two versions, $version and $argument: build one"; exit 2; }
            version=$argument
            ;;
    esac
done

# Under sudo, what the owner of the repository works with must not belong to root.
as_owner() {
    if [ "$(id -u)" = 0 ] && [ -n "${SUDO_UID:-}" ]; then
        setpriv --reuid="$SUDO_UID" --regid="$SUDO_GID" --clear-groups \
            env HOME="$(getent passwd "$SUDO_UID" | cut -d: -f6)" "$@"
    else
        "$@"
    fi
}

# --- Checks: every problem at once -----------------------------------------------------

problems=0
problem() {
    problems=$((problems + 1))
    say "$@"
}

echo "$version" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?' ||
    problem "\"$version\" is not a version such as 0.2.0 or 0.2.0rc1"
if [ -n "$(git status --porcelain)" ]; then
    problem "the working tree has changes: commit or remove them" "$(git status --short | head -n 5)"
fi
if git rev-parse -q --verify "refs/tags/v$version" >/dev/null; then
    problem "the tag v$version exists: a released version is never built again, choose the next one"
fi
final=$(echo "$version" | sed -E 's/(a|b|rc)[0-9]+$//')
section=$(awk -v start="## [$final] - " 'index($0, start) == 1 { on = 1; print; next } /^## / { on = 0 } on' CHANGELOG.md)
heading=$(echo "$section" | head -n 1)
if [ "$(echo "$section" | grep -c '^- ')" = 0 ]; then
    problem "CHANGELOG.md has no section \"## [$final] - $(date -u +%F)\" with entries"
elif [ "$final" = "$version" ] && ! echo "$heading" | grep -Eq ' - [0-9]{4}-[0-9]{2}-[0-9]{2}$'; then
    problem "CHANGELOG.md has the heading \"$heading\": replace \"unreleased\" by the date, $(date -u +%F)"
fi
if [ "$dry_run" = no ] && ! as_owner git var GIT_COMMITTER_IDENT >/dev/null 2>&1; then
    problem "git knows no name for the tag: git config user.name NAME, git config user.email ADDRESS"
fi
[ -x "$python" ] || problem ".venv is missing: make lint creates it"
builder=
if [ "$only_python" = no ]; then
    [ "$(id -u)" = 0 ] || problem "Debian packages are built as root, in a root of each release: use sudo, or --python"
    command -v debootstrap >/dev/null || problem "debootstrap is missing: apt-get install debootstrap, or --python"
    if docker info >/dev/null 2>&1; then
        builder=docker
    elif command -v buildah >/dev/null; then
        builder=buildah
    else
        problem "neither a Docker engine nor buildah is here to build the image: apt-get install buildah, or --python"
    fi
fi
if [ -n "${AFTERRUN_RELEASE_OUT:-}" ]; then out=$AFTERRUN_RELEASE_OUT; else out=$here/dist/$version; fi
[ ! -e "$out" ] || problem "$out exists: remove it"
if [ "$problems" -gt 0 ]; then
    say "" "nothing was built or tagged"
    exit 1
fi

# --- Build, in two clones: what is not committed cannot slip in ------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commit=$(git rev-parse HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

clone() {
    git clone --quiet --no-hardlinks "$here" "$1"
    git -C "$1" checkout --quiet --detach "$commit"
    git -C "$1" -c user.name=release -c user.email=release tag --annotate "v$version" --message "$version"
}

say "building the packages"
[ "$only_python" = no ] || suites=none
clone "$work/source"
# shellcheck disable=SC2086  # a list of words
AFTERRUN_PYTHON=$python "$work/source/scripts/packages.sh" "$work/dist" $suites
say "building wheel and source distribution again, elsewhere"
clone "$work/another/source"
(cd "$work/another/source" && "$python" -m hatchling build -d "$work/again" >/dev/null)
for file in "$work"/again/*; do
    cmp "$file" "$work/dist/${file##*/}" || {
        say "two builds differ: do not release this"
        exit 1
    }
done
[ -e "$work/dist/afterrun_exporter-$version-py3-none-any.whl" ] || {
    say "the wheel has another version than $version:" "$(ls "$work/dist")"
    exit 1
}

if [ "$only_python" = no ]; then
    say "building the image with $builder"
    if [ "$builder" = docker ]; then
        docker build --tag "afterrun-exporter:$version" --build-arg "REVISION=$commit" --build-arg "VERSION=$version" "$work/source"
    else
        buildah build --format docker --tag "afterrun-exporter:$version" --build-arg "REVISION=$commit" \
            --build-arg "VERSION=$version" ${PYTHON_IMAGE:+--build-arg "PYTHON=$PYTHON_IMAGE"} "$work/source"
    fi
fi

(cd "$work/dist" && sha256sum -- * >SHA256SUMS)
as_owner mkdir -p "$out"
cp "$work/dist"/* "$out"
[ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:$SUDO_GID" "$out"
if [ "$dry_run" = yes ]; then
    say "built in $out; no tag, because of --dry-run"
else
    # The commit that was built: there may be a newer one by now.
    as_owner git tag --annotate "v$version" --message "AfterRun exporter $version" "$commit"
    say "built in $out, tagged v$version; docs/releasing.md: how to publish them"
fi
