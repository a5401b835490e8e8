#!/usr/bin/env bash
# Builds dist/agentbox_<version>_<architecture>.deb for the Debian that this runs on: with its Python, all packages, the
# default models and the units. Installing it fetches nothing.
#
#   ./deploy/build-deb.sh [--wheelhouse FOLDER] [--models FOLDER] [--fast] [--to FOLDER]
#
# --wheelhouse: Python packages are taken from this folder; --models: so are the models (one folder for each); --fast:
# not compressed; --to: another folder than dist.
set -euo pipefail
# The Python that Debian has, and no other one: the package is made for it.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
umask 022

wheelhouse='' models='' to=$ROOT/dist compression=(-Zzstd -z12)
while [ $# -gt 0 ]; do
    case $1 in
        --wheelhouse | --models)
            [ -d "${2-}" ] || fail "$1 needs a folder." "There is none at: ${2-}"
            declare "${1#--}=$(realpath -- "$2")"
            shift
            ;;
        --to)
            to=$(realpath -- "${2:?}")
            shift
            ;;
        --fast) compression=(-Znone) ;;
        *) fail "There is no option $1." ;;
    esac
    shift
done
have dpkg-deb || fail "A Debian package is built on Debian."
PYTHON=/usr/bin/python3
# shellcheck disable=SC2046  # two words are two packages
need_packages ca-certificates python3 $(python_packages)

stage=$(mktemp -d)
trap 'rm -rf -- "$stage"' EXIT
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$ROOT/agentbox/__init__.py")
architecture=$(dpkg --print-architecture)
python_minor=$("$PYTHON" -c 'import sys; print(sys.version_info[1])')
root=$stage/root
release=$root/opt/agentbox/releases/$version

say "packages for Python 3.$python_minor"
mkdir -p -- "$release" "$root/DEBIAN" "$stage/source"
"$PYTHON" -m venv "$release" >&2
cp -r -- "$ROOT/agentbox" "$ROOT/pyproject.toml" "$ROOT/README.md" "$ROOT/LICENSE" "$stage/source"
options=()
[ -z "$wheelhouse" ] || options=(--no-index --find-links "$wheelhouse")
"$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile "${options[@]}" \
    "$stage/source" >&2 || fail "The packages could not be installed." "The messages above say why."
ln -s "releases/$version" "$root/opt/agentbox/current"
cp -- "$ROOT/deploy/journal.py" "$release"

say "models"
mkdir -p -- "$root/opt/agentbox/models"
for model in moonshine-tiny-en silero-vad-16k; do
    source=()
    [ -z "$models" ] || source=(--source "$models/$model")
    AGENTBOX_STATE=$stage/state "$release/bin/agentbox" models pull "$model" "${source[@]}" --config "$ROOT/config.example.yaml" >&2
    cp -r -- "$stage/state/models/$model" "$root/opt/agentbox/models"
done
chmod -R a+rX -- "$root/opt/agentbox/models"

say "files"
# As if it had been made where it will be: shebangs, notes of the builder's paths, bytecode.
rm -rf -- "$release"/bin/[Aa]ctivate* "$release"/lib/python3*/site-packages/agentbox-*.dist-info/direct_url.json
find "$release" -name __pycache__ -prune -exec rm -rf -- {} +
sed -i "s|$root||g" "$release/pyvenv.cfg"
grep -lIrF -- "$root" "$release/bin" | xargs -r sed -i "s|$root||g"
sed -i '/direct_url.json/d' "$release"/lib/python3*/site-packages/agentbox-*.dist-info/RECORD
"$PYTHON" -m compileall -q -j 0 -s "$root" -p / --invalidation-mode unchecked-hash "$release/lib" ||
    fail "Some of the packages could not be compiled."
! grep -rqF -- "$stage" "$root" || fail "The package would hold the builder's paths:" "$(grep -rlF -- "$stage" "$root")"

install -D -m 0755 -- "$ROOT/deploy/command.sh" "$root/usr/bin/agentbox"
install -D -m 0644 -t "$root/lib/systemd/system" -- "$ROOT"/systemd/*.service "$ROOT"/systemd/*.timer
# The example is dpkg's to renew; config.yaml is made from it once (postinst) and then the owner's, so that no upgrade
# has a question to ask.
install -D -m 0644 -t "$root/etc/agentbox" -- "$ROOT/config.example.yaml"
install -D -m 0644 -t "$root/usr/share/doc/agentbox" -- "$ROOT/deploy/debian/copyright" "$ROOT/CHANGELOG.md" "$ROOT"/docs/*.md
install -D -m 0644 -t "$root/usr/share/doc/agentbox/examples" -- "$ROOT/systemd/user/agentbox.service"
echo /etc/agentbox/config.example.yaml >"$root/DEBIAN/conffiles"
sed -e "s|@VERSION@|$version|; s|@ARCHITECTURE@|$architecture|; s|@SIZE@|$(du -sk -- "$root" | cut -f1)|" \
    -e "s|@PYTHON@|3.$python_minor|; s|@NEXT_PYTHON@|3.$((python_minor + 1))|" "$ROOT/deploy/debian/control" >"$root/DEBIAN/control"
install -m 0755 -t "$root/DEBIAN" -- "$ROOT"/deploy/debian/{preinst,postinst,prerm,postrm}
sed -i "s|@VERSION@|$version|" "$root/DEBIAN/postinst"

say "compressing"
mkdir -p -- "$to"
file=$to/agentbox_${version}_$architecture.deb
dpkg-deb "${compression[@]}" --root-owner-group --build "$root" "$file" >&2
say "$file ($(du -m -- "$file" | cut -f1) MB)"
