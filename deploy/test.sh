#!/usr/bin/env bash
# Makes everything ready for the tests and runs them; arguments go to pytest:
#
#   ./deploy/test.sh tests/ground -k settings
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# A virtual microphone, files to hear with it, recordings of people, and a browser for the page.
packages=(pulseaudio pulseaudio-utils sox espeak-ng asterisk-core-sounds-en asterisk-core-sounds-en-g722 chromium)
# Root can boot machines to install the service on (tests/system); for others those tests are skipped.
[ "$(id -u)" -ne 0 ] || packages+=(debootstrap systemd-container)
set_up test "${packages[@]}"
# Fetched here, with a progress bar, and not under some test's time limit; tests/conftest.py looks in the same place.
export AGENTBOX_TEST_MODELS=${AGENTBOX_TEST_MODELS:-~/.cache/agentbox-test-models}
AGENTBOX_STATE=$AGENTBOX_TEST_MODELS "$VENV/bin/agentbox" models pull \
    --config <(printf 'asr: {models_dir: "%s"}\n' "$AGENTBOX_TEST_MODELS")
cd -- "$ROOT"
# Hundreds of boxes are started, and each would compile agentbox anew where that may not be kept.
unset PYTHONDONTWRITEBYTECODE
[ $# -eq 0 ] || exec "$VENV/bin/python" -m pytest "$@"
# Much of it waits: for machines to boot, browsers, time limits. Machines boot one after the other: once two at once came
# up degraded. What hears and speaks in real time waits most, and has nothing but another of its kind beside it.
work="not real_time and not alone"
timed_rooms=(tests/audio tests/daemon tests/page tests/system tests/tts)
two_at_a_time=(-n 2 --dist loadgroup --no-loadscope-reorder)
failed=0
machines=$(mktemp)
trap 'rm -f -- "$machines"' EXIT
"$VENV/bin/python" -m pytest -m "$work" tests/system >"$machines" 2>&1 &
"$VENV/bin/python" -m pytest -m "$work" --ignore=tests/system "${two_at_a_time[@]}" || failed=1
wait $! || failed=1
cat -- "$machines"
"$VENV/bin/python" -m pytest -m real_time "${timed_rooms[@]}" "${two_at_a_time[@]}" || failed=1
"$VENV/bin/python" -m pytest -m alone "${timed_rooms[@]}" || failed=1
exit "$failed"
