#!/usr/bin/env bash
# Makes everything ready for the tests and runs them; arguments go to pytest:
#
#   ./deploy/test.sh tests/ground -k settings
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

# A virtual microphone, files to hear with it, and recordings of people.
set_up test pulseaudio pulseaudio-utils sox espeak-ng asterisk-core-sounds-en asterisk-core-sounds-en-g722
cd -- "$ROOT"
exec "$VENV/bin/python" -m pytest "$@"
