#!/bin/sh
# The agentbox command of an installed service. What reads or writes the service's own files is done as its user when
# root asks for it, so that the service finds its files as it left them. That user sees no file in /tmp, and none that is
# root's alone: commands that are given one stay root's own, and a backup goes through a pipe.
set -eu
agentbox=/opt/agentbox/current/bin/agentbox

as_service() {
    systemd-run --quiet --wait --pipe --collect --service-type=exec \
        --property=DynamicUser=yes --property=User=agentbox --property=SupplementaryGroups=audio \
        --property=StateDirectory=agentbox --property=StateDirectoryMode=0700 --property=UMask=0077 \
        ${AGENTBOX_CONFIG:+"--setenv=AGENTBOX_CONFIG=$AGENTBOX_CONFIG"} "$agentbox" "$@"
}

if [ "$(id -u)" != 0 ] || [ -n "${AGENTBOX_STATE:-}${AGENTBOX_SOCKET:-}" ] || [ ! -d /run/systemd/system ]; then
    exec "$agentbox" "$@"
fi

whose=root
case "${1:-} $* " in
    "config "*" --config"* | "say "*" --out"* | "understand "*" --sentences"*) ;;
    "sentences sentences check " | "sentences sentences check --json ") whose=service ;;
    "transcripts "* | "models "* | "doctor "* | "config "* | "say "* | "understand "*) whose=service ;;
    "ask "* | "status "* | "tools "* | "backends "* | "egress "* | "mute "* | "unmute "* | "devices-paired "* | \
        "factory-reset "* | "backup "* | "restore "*)
        # They ask the service, as root may, and do it themselves only where it does not run.
        [ -S /run/agentbox/control.sock ] || whose=service
        ;;
esac
[ "$whose" = service ] || exec "$agentbox" "$@"

# The file of a backup is opened by root; `-` takes its place among the words.
file="" command=$1
case $command in
    backup | restore)
        before=$command
        for word; do
            shift
            case "$before $word" in
                " --config") before=$word ;;
                " -"*) ;;
                " "*) file=$word word=- ;;
                *) before="" ;;
            esac
            set -- "$@" "$word"
        done
        ;;
esac
if [ -z "$file" ]; then
    as_service "$@"
elif [ "$command" = restore ]; then
    as_service "$@" <"$file"
else
    made=$(mktemp -- "$(dirname -- "$file")/.agentbox.XXXXXX")
    trap 'rm -f -- "$made"' EXIT
    as_service "$@" >"$made"
    mv -- "$made" "$file"
fi
