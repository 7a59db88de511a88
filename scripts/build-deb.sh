#!/bin/sh
# Builds the Debian package of a wheel, for the Debian and the Python of this machine.
#
#   scripts/build-deb.sh WHEEL FOLDER
#
# Compiled packages belong to one version of Python, so each Debian release has a package
# of its own: scripts/build-deb-for.sh builds it in a root of that release.
# PYTHON=/usr/bin/python3 needs pip or ensurepip. SOURCE_DATE_EPOCH is that of the commit.
set -eu

wheel=$1 folder=$2
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-/usr/bin/python3}
: "${SOURCE_DATE_EPOCH:=$(git -C "$here" log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

# 0.2.0rc1 and 0.2.0.dev3+g0a1b2c3 are earlier than 0.2.0.
upstream=$(basename "$wheel" | cut -d- -f2 | sed -E 's/^([0-9.]+)(rc|a|b)/\1~\2/; s/\.dev/~dev/')
release=$(. /etc/os-release && echo "$ID${VERSION_ID:-}")
version=$upstream-1~$(echo "$release" | sed 's/^debian/deb/')
numbers=$("$python" -c 'import sys; print(*sys.version_info[:2])')
minor=${numbers#* }

# --- /opt/afterrun: a virtual environment of the system's Python --------------------

"$python" -m venv --without-pip "$root/opt/afterrun"
if "$python" -m pip --version >/dev/null 2>&1; then
    pip="$python -m pip"
else
    "$python" -m venv "$work/tools"
    pip="$work/tools/bin/python -m pip"
fi
# shellcheck disable=SC2086  # a list of words
$pip --python "$root/opt/afterrun/bin/python" install --quiet --no-compile \
    --constraint "$here/constraints.txt" "$wheel[holidays,postgres]"
cd "$root/opt/afterrun"
# Not the programs of other packages, and no folder of this build.
find bin -type f ! -name afterrun -delete
find bin -type l ! -name python -delete
ln -sf /usr/bin/python3 bin/python
sed -i '1s|.*|#!/opt/afterrun/bin/python|' bin/afterrun
printf '%s\n' 'home = /usr/bin' 'include-system-site-packages = false' \
    "version = $(echo "$numbers" | tr ' ' .)" >pyvenv.cfg
rm -rf include
# Neither pip nor its records: dpkg owns these files.
find . -name direct_url.json -delete -o -name RECORD -delete -o -name REQUESTED -delete
find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- The rest of the system ---------------------------------------------------------

debian=$here/deploy/debian
install -D -m 644 "$debian/afterrun.yml" "$root/etc/afterrun/afterrun.yml"
install -D -m 644 "$debian/afterrun.default" "$root/etc/default/afterrun"
doc=$root/usr/share/doc/afterrun-exporter
install -D -m 644 "$debian/copyright" "$doc/copyright"
install -m 644 "$here/afterrun.yml" "$here/README.md" "$doc"
gzip -9n <"$here/CHANGELOG.md" >"$doc/changelog.gz"
mkdir -p "$root/usr/bin"
ln -s /opt/afterrun/bin/afterrun "$root/usr/bin/afterrun"

# The package has a user, to whom files with secrets can be made readable.
unit=$root/usr/lib/systemd/system/afterrun.service
install -d "${unit%/*}"
sed -e '/^# AfterRun exporter as/,/^$/c # AfterRun exporter, from the package afterrun-exporter.\n' \
    -e 's/^DynamicUser=yes$/User=afterrun\nGroup=afterrun/' \
    -e 's|^ExecStart=.*|& $ARGS|' \
    -e 's|^ExecStart=|EnvironmentFile=-/etc/default/afterrun\n&|' \
    "$here/deploy/afterrun.service" >"$unit"
for line in User=afterrun EnvironmentFile=-/etc/default/afterrun; do
    grep -qx "$line" "$unit" || { echo "deploy/afterrun.service has changed: no $line" >&2; exit 1; }
done

# --- The package --------------------------------------------------------------------

mkdir "$root/DEBIAN"
install -m 755 "$debian/preinst" "$debian/postinst" "$debian/prerm" "$debian/postrm" "$root/DEBIAN"
install -m 644 "$debian/conffiles" "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" \
    -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" \
    -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT_PYTHON@/3.$((minor + 1))/" \
    "$debian/control" >"$root/DEBIAN/control"
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$work/md5sums"
install -m 644 "$work/md5sums" "$root/DEBIAN"
mkdir -p "$folder"
dpkg-deb --root-owner-group -Zxz --build "$root" "$folder" >/dev/null
echo "$folder/afterrun-exporter_${version}_$(dpkg --print-architecture).deb"
