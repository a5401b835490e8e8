#!/bin/sh
# The agentbox command of an installed service. What reads or writes the service's own files is done as its user when
# root asks for it, so that the service finds its files as it left them.
set -eu
agentbox=/opt/agentbox/current/bin/agentbox
case "$(id -u) ${AGENTBOX_STATE:+own} ${1:-}" in
    "0  transcripts" | "0  models" | "0  doctor")
        [ ! -d /run/systemd/system ] ||
            exec systemd-run --quiet --wait --pipe --collect --service-type=exec \
                --property=DynamicUser=yes --property=User=agentbox --property=SupplementaryGroups=audio \
                --property=StateDirectory=agentbox --property=StateDirectoryMode=0700 --property=UMask=0077 \
                "$agentbox" "$@"
        ;;
esac
exec "$agentbox" "$@"
