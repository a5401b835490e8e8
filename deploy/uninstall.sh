#!/usr/bin/env bash
# Removes what deploy/install.sh installed. Configuration and data stay, unless asked for:
#
#   ./deploy/uninstall.sh [--purge]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

UNITS=/usr/local/lib/systemd/system
purge=
case "$*" in
    '') ;;
    --purge) purge=yes ;;
    *) fail "There is no option $*." "Use: $0 [--purge]" ;;
esac
[ "$(id -u)" -eq 0 ] || fail "This must be run as root." "Run: sudo $0 $*"
! dpkg-query --show --showformat='${db:Status-Status}' agentbox 2>/dev/null | grep -qx installed ||
    fail "agentbox is installed as a Debian package." "Remove it with: apt-get remove ${purge:+--purge }agentbox"

if [ -d /run/systemd/system ]; then
    systemctl disable --quiet --now agentbox.service agentbox-upkeep.timer 2>/dev/null || true
fi
rm -rf -- "$UNITS"/agentbox.service "$UNITS"/agentbox.service.d "$UNITS"/agentbox-upkeep.{service,timer} \
    /usr/local/bin/agentbox /opt/agentbox
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl reset-failed agentbox.service 2>/dev/null || true
fi
if [ -n "$purge" ]; then
    rm -rf -- /etc/agentbox /etc/systemd/system/agentbox.service.d /var/lib/private/agentbox /var/lib/agentbox
    say "agentbox is gone, with its configuration and all it remembered"
else
    say "agentbox is gone; its configuration (/etc/agentbox) and data (/var/lib/agentbox) are kept. To remove them: $0 --purge"
fi
