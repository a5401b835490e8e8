#!/usr/bin/env bash
# Installs agentbox as a service of this machine, or upgrades it. As root, from a checkout of the project:
#
#   ./deploy/install.sh [--wheelhouse FOLDER] [--models FOLDER] [--ready-limit SECONDS] [WHEEL]
#
# WHEEL is a built agentbox; without it, this checkout is installed. --wheelhouse: Python packages are taken from this
# folder and nothing is fetched; --models: so are the models (one folder for each). A version that is not ready
# within --ready-limit (120 s) is taken back for the one before. docs/service.md tells more.
set -euo pipefail
# A Python in somebody's home folder would be out of the service's reach.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"
umask 022

BASE=/opt/agentbox
UNITS=/usr/local/lib/systemd/system

wheelhouse='' models='' wheel='' ready_limit_s=120
read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --wheelhouse | --models)
                [ -d "${2-}" ] || fail "$1 needs a folder." "There is none at: ${2-}"
                declare -g "${1#--}=$(realpath -- "$2")"
                shift
                ;;
            --ready-limit)
                ready_limit_s=${2-}
                [[ $ready_limit_s =~ ^[1-9][0-9]*$ ]] || fail "$1 needs a number of seconds."
                shift
                ;;
            -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 0 ;;
            -*) fail "There is no option $1." "See: $0 --help" ;;
            *)
                [ -f "$1" ] || fail "There is no file $1."
                wheel=$(realpath -- "$1")
                ;;
        esac
        shift
    done
}

check_machine() {
    [ "$(uname -s)" = Linux ] || fail "agentbox runs on Linux."
    [ "$(id -u)" -eq 0 ] || fail "This must be run as root." "Run: sudo $0"
    [ -d /run/systemd/system ] || fail "systemd does not run this machine." "To try agentbox without a service: ./deploy/try.sh"
    ! dpkg-query --show --showformat='${db:Status-Status}' agentbox 2>/dev/null | grep -qx installed ||
        fail "agentbox is installed as a Debian package." "Upgrade that, or remove it first: apt-get remove agentbox"
    local version
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "$version" -ge 252 ] || fail "agentbox needs systemd 252 or later; this machine has $version."
    SYSTEMD=$version
}

# describe_release: sets RELEASE to a name that changes with what is installed and with the Python that runs it.
describe_release() {
    local version key
    local parts=(systemd deploy/journal.py deploy/command.sh)
    if [ -n "$wheel" ]; then
        version=$(basename -- "$wheel" | cut -d- -f2)
        parts+=("$wheel")
    else
        version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$ROOT/agentbox/__init__.py")
        parts+=(agentbox pyproject.toml)
    fi
    key=$(cd "$ROOT" && find "${parts[@]}" -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
    key=$(printf '%s %s' "$key" "$("$PYTHON" -VV)" | sha256sum)
    RELEASE=$BASE/releases/$version-${key:0:8}
}

# make_release: a virtual environment of its own for each release, with the units that belong to it.
make_release() {
    [ ! -f "$RELEASE/.made" ] || return 0
    say "installing ${RELEASE##*/} into $RELEASE (a minute or two)"
    local source=$wheel options=()
    [ -z "$wheelhouse" ] || options=(--no-index --find-links "$wheelhouse")
    rm -rf -- "$RELEASE"
    mkdir -p -- "$BASE/releases"
    "$PYTHON" -m venv "$RELEASE" >&2 || fail "The virtual environment could not be made." "The messages above say why."
    if [ -z "$source" ]; then
        # Built from a copy: building leaves files behind.
        source=$RELEASE/source
        mkdir -- "$source"
        cp -r -- "$ROOT/agentbox" "$ROOT/pyproject.toml" "$ROOT/README.md" "$ROOT/LICENSE" "$source"
    fi
    "$RELEASE/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${options[@]}" "$source" >&2 ||
        fail "The packages could not be installed." "The messages above say why. Nothing that runs was changed."
    rm -rf -- "$RELEASE/source"
    mkdir -- "$RELEASE/units"
    cp -- "$ROOT"/systemd/*.service "$ROOT"/systemd/*.timer "$RELEASE/units"
    cp -- "$ROOT/systemd/backoff.conf" "$ROOT/deploy/journal.py" "$ROOT/deploy/command.sh" "$RELEASE"
    touch -- "$RELEASE/.made"
}

# as_service COMMAND...: as the service's user and in its folder, which nobody else can enter.
as_service() {
    systemd-run --quiet --wait --pipe --collect --service-type=exec --property=DynamicUser=yes --property=User=agentbox \
        --property=StateDirectory=agentbox --property=StateDirectoryMode=0700 --property=UMask=0077 "$@"
}

# need_models: what the configuration asks for is here before the service starts.
need_models() {
    "$RELEASE/bin/agentbox" config show --config /etc/agentbox/config.yaml >/dev/null ||
        fail "This version does not accept /etc/agentbox/config.yaml." "Nothing that runs was changed."
    mkdir -p -- "$BASE/models"
    if [ -n "$models" ]; then
        cp -r -- "$models"/. "$BASE/models"
        chmod -R a+rX -- "$BASE/models"
    fi
    # Those that the service has fetched itself count too.
    if [ -e /var/lib/agentbox ] && as_service "$RELEASE/bin/agentbox" models verify >/dev/null 2>&1; then return 0; fi
    AGENTBOX_STATE=$BASE "$RELEASE/bin/agentbox" models pull --config /etc/agentbox/config.yaml >&2 ||
        fail "The models are not here." "Connect this machine to the network, or give a folder of models: --models FOLDER" \
            "Then run this again."
    chmod -R a+rX -- "$BASE/models"
}

# use RELEASE: the links and the units of that release are those that count.
use() {
    ln -sfn -- "releases/${1##*/}" "$BASE/current.new"
    mv -T -- "$BASE/current.new" "$BASE/current"
    mkdir -p -- "$UNITS"
    install -m 0644 -- "$1"/units/* "$UNITS"
    if [ "$SYSTEMD" -ge 254 ]; then
        install -D -m 0644 -- "$1/backoff.conf" "$UNITS/agentbox.service.d/backoff.conf"
    fi
    install -m 0755 -- "$1/command.sh" /usr/local/bin/agentbox
    systemctl daemon-reload
}

# start: waits for READY; whatever it takes longer than the limit counts as failed.
start() {
    timeout "$ready_limit_s" systemctl start agentbox.service && systemctl is-active --quiet agentbox.service
}

# back_up: the journal, while the service stands still.
back_up() {
    local backup
    if [ ! -e /var/lib/agentbox ] || [ -z "$previous" ]; then return 0; fi
    backup=$(as_service "$previous/bin/python" "$RELEASE/journal.py" back-up) || {
        systemctl start --no-block agentbox.service
        fail "The journal could not be backed up; nothing was changed." "Its messages above say why. See also: agentbox doctor"
    }
    [ -z "$backup" ] || say "the journal is backed up: $backup"
}

# go_back: the version before, with the journal as it can read it.
go_back() {
    local said
    say "${RELEASE##*/} did not get ready within $ready_limit_s s; this is what it said:"
    journalctl --unit=agentbox.service --lines=12 --output=cat --no-pager >&2 || true
    systemctl stop agentbox.service || systemctl kill --signal=KILL agentbox.service
    said=$(as_service "$previous/bin/python" "$RELEASE/journal.py" go-back) ||
        fail "The journal could not be taken back to ${previous##*/}." "Nothing of it is lost; the service stands still." \
            "Make room on the disk, then run: ./deploy/install.sh with the version you want."
    say "$said"
    use "$previous"
    systemctl reset-failed agentbox.service 2>/dev/null || true
    start || fail "Neither ${RELEASE##*/} nor ${previous##*/} gets ready." "See: journalctl -u agentbox"
    rm -rf -- "$RELEASE"
    fail "${RELEASE##*/} did not work here; ${previous##*/} runs again." "What it said is above. Configuration and data are as they were."
}

# upkeep: the timer counts only where this version has the command that it starts.
upkeep() {
    if "$RELEASE/bin/agentbox" transcripts upkeep --help >/dev/null 2>&1; then
        systemctl enable --quiet --now agentbox-upkeep.timer
    else
        systemctl disable --quiet --now agentbox-upkeep.timer 2>/dev/null || true
    fi
}

tidy() {
    local release
    for release in "$BASE"/releases/*; do
        [ "$release" = "$RELEASE" ] || [ "$release" = "$previous" ] || rm -rf -- "$release"
    done
}

main() {
    read_arguments "$@"
    check_machine
    mkdir -p -- "$BASE"
    exec 8<"$BASE"
    flock 8
    # shellcheck disable=SC2046  # two words are two packages
    need_packages ca-certificates libportaudio2 libasound2-plugins alsa-utils $(python_packages)
    hash -r
    PYTHON=$(python_to_use) || fail "agentbox needs Python 3.11 or later; this machine has $(python3 --version 2>&1)."
    describe_release
    previous=$(readlink -e -- "$BASE/current" || true)
    make_release
    install -D -m 0644 -t /etc/agentbox -- "$ROOT/config.example.yaml"
    [ -e /etc/agentbox/config.yaml ] || install -m 0644 -- "$ROOT/config.example.yaml" /etc/agentbox/config.yaml
    need_models
    if [ "$previous" = "$RELEASE" ]; then
        previous=
        use "$RELEASE"
        systemctl enable --quiet agentbox.service
        start || fail "agentbox did not get ready within $ready_limit_s s." "See: journalctl -u agentbox"
        upkeep
        say "agentbox ${RELEASE##*/} is installed and runs"
        return 0
    fi
    # From here on nothing new is written to the journal until the new version runs.
    systemctl stop agentbox.service 2>/dev/null || true
    back_up
    use "$RELEASE"
    systemctl enable --quiet agentbox.service
    if ! start; then
        [ -z "$previous" ] || go_back
        fail "agentbox is installed, but did not get ready within $ready_limit_s s." "See: journalctl -u agentbox"
    fi
    upkeep
    tidy
    say "agentbox ${RELEASE##*/} is installed and runs. See: agentbox status, agentbox doctor"
}
main "$@"
