#!/usr/bin/env bash
# Makes everything ready and starts the box in the foreground, on the microphone; with no microphone it hears a spoken
# sample. With arguments: that agentbox command, for the same box, for example
#
#   ./deploy/try.sh transcripts list
#
# It keeps everything of its own in one folder ($AGENTBOX_STATE, or ~/.local/state/agentbox-try) besides .venv here.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

set_up run
export AGENTBOX_CONFIG=$ROOT/deploy/try.yaml
export AGENTBOX_STATE=${AGENTBOX_STATE:-${XDG_STATE_HOME:-~/.local/state}/agentbox-try}
agentbox=$VENV/bin/agentbox

if [ $# -gt 0 ]; then
    exec "$agentbox" "$@"
fi

"$agentbox" models pull

has_microphone() {
    "$agentbox" devices --json 2>/dev/null | "$VENV/bin/python" -c '
import json, sys
sys.exit(not any(json.loads(line)["inputs"] for line in sys.stdin))'
}

say "when it has ended:   $(printf %q "$ROOT/deploy/try.sh") transcripts list"
if has_microphone; then
    say "listening on the microphone. Activation mode is \"always\": everything that is said is for the box. Ctrl-C ends it."
    say "try:   what time is it? - set a pizza timer for ten minutes - add milk to the shopping list - what can you do?"
    exec "$agentbox" run --show-words
fi
say "this machine has no microphone: a spoken sample of 53 seconds is played into the box instead, in real time."
exec "$agentbox" run --source "$ROOT/agentbox/samples/commands.flac" --exit-when-done --show-words
