# shellcheck shell=bash
# What try.sh, test.sh and .ci/run share: system libraries, a virtual environment in .venv, the packages in it.
# Everything that is there already is left alone, so that a second run needs neither network nor time.

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv
unset PYTHONHOME PYTHONPATH               # another Python's packages in ours would break it
{ : <&0; } 2>/dev/null || exec </dev/null # for those who start us with standard input closed

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() {
    printf '\033[31merror:\033[0m %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}
if [ ! -t 2 ]; then
    say() { printf '==> %s\n' "$*" >&2; }
fi

have() { command -v "$1" >/dev/null 2>&1; }

# One set-up at a time: two at once would build the same .venv. (Children get 9<&-: what they start may outlive them.)
lock() {
    exec 9<"$ROOT"
    have flock || return 0
    flock --nonblock 9 || { say "waiting for another run of this set-up" && flock 9; }
}
unlock() { exec 9<&-; }

# need_packages NAME...: the Debian packages, installed only where they are missing.
need_packages() {
    local missing=() as_root=() name
    if ! have dpkg-query; then
        [ -f "$VENV/.made" ] || say "this is not Debian; these libraries, by their Debian names, must be there: $*"
        return 0
    fi
    for name; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        # A password can be asked for only where somebody can type it.
        if have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=(sudo)
        else
            fail "system packages are missing, and this user may not install them." \
                "As root, run:  apt-get update && apt-get install --no-install-recommends ${missing[*]}" \
                "Then run this again."
        fi
    fi
    say "installing ${missing[*]}"
    # An update that fails (a disc in the list of sources, no network) may still leave all that is needed.
    "${as_root[@]}" apt-get update --quiet >&2 </dev/null 9<&- || say "apt-get update failed; going on with the old lists"
    # --no-remove: never take something away from a machine to make room for ours.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-remove --no-install-recommends \
        --option DPkg::Lock::Timeout=300 "${missing[@]}" >&2 </dev/null 9<&- ||
        fail "apt-get could not install ${missing[*]}." "Its messages above say why. Then run this again."
}

# python_to_use: prints a Python of version 3.11 or later.
python_to_use() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if have "$name" && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

# python_packages: the Debian packages that are missing before there is a Python that can make virtual environments.
python_packages() {
    local python
    if ! python=$(python_to_use); then
        echo python3 python3-venv
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "${python##*/}-venv" # Debian keeps them apart
    fi
}

# need_venv: makes .venv. One that was left half-made, moved, or made by another Python is made anew.
need_venv() {
    local wanted have_now=
    wanted=$("$PYTHON" -c 'import sys; print(*sys.version_info[:2], sys.base_prefix)')" in $VENV"
    [ ! -f "$VENV/.made" ] || have_now=$(<"$VENV/.made")
    if [ "$wanted" = "$have_now" ] && [ ! -e "$VENV/.busy" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    [ -w "$ROOT" ] || fail "$ROOT cannot be written to by $(id -un)." "Make a copy of the project of your own."
    [ ! -e "$VENV" ] || say "$VENV is unfinished or from elsewhere; making it anew"
    rm -rf -- "$VENV" 2>/dev/null || fail "$VENV cannot be replaced." "It belongs to another user: remove it, and run this again."
    say "making a virtual environment with $("$PYTHON" --version) in $VENV"
    "$PYTHON" -m venv "$VENV" >&2 || fail "the virtual environment could not be made." "The messages above say why."
    printf '%s' "$wanted" >"$VENV/.made"
}

# need_project run|test|dev: installs the project into .venv, editable, with what it takes to run, test or develop it.
need_project() {
    local key larger set extra=
    key=$(cat -- "$ROOT/pyproject.toml" "$VENV/.made" | sha256sum)
    case $1 in # each set holds the ones before it
        run) larger="run test dev" ;;
        test) larger="test dev" extra='[test]' ;;
        dev) larger="dev" extra='[dev]' ;;
    esac
    for set in $larger; do
        if [ -f "$VENV/.installed-$set" ] && [ "$(<"$VENV/.installed-$set")" = "$key" ]; then
            return 0
        fi
    done
    say "installing agentbox and its packages (a minute or two)"
    touch -- "$VENV/.busy" # an interrupted pip leaves packages that look whole
    rm -f -- "$VENV"/.installed-*
    local quiet=()
    [ -t 2 ] || quiet=(--quiet)
    "$VENV/bin/python" -m pip install "${quiet[@]}" --disable-pip-version-check --no-input --editable "$ROOT$extra" >&2 9<&- ||
        fail "the packages could not be installed." "The messages above say why: is the package index reachable?" "Then run this again."
    rm -f -- "$VENV/.busy"
    printf '%s' "$key" >"$VENV/.installed-$1"
}

# set_up run|test|dev [PACKAGE...]: all of the above; the packages are Debian's.
set_up() {
    [ "$(uname -s)" = Linux ] || fail "agentbox runs on Linux."
    lock
    # libasound2-plugins: microphones that a sound server (PulseAudio, PipeWire) owns; alsa-utils: volume without one
    # shellcheck disable=SC2046  # two words are two packages
    need_packages ca-certificates libportaudio2 libasound2-plugins alsa-utils $(python_packages) "${@:2}"
    hash -r
    PYTHON=$(python_to_use) || fail "agentbox needs Python 3.11 or later; this machine has $(python3 --version 2>&1)." \
        "Install a later one, as python3.12 for example (Debian 12 and Ubuntu 24.04 have one), and run this again."
    need_venv
    need_project "$1"
    unlock
}
