#!/bin/bash
# Under systemd: the shipped unit on a sound card of the kernel's own (snd-aloop: what is played to hw:0,0 is recorded from
# hw:0,1). A command is spoken; the card is taken away and comes back; a command is spoken again.
# Lines "rig UPTIME WHAT" are for benchmarks/vm/alsa.py; the rest is for people.
export PATH=/opt/agentbox/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
stty -F /dev/ttyS1 raw -echo
driver=/sys/bus/platform/drivers/snd_aloop

say() { echo "rig $(cut -d' ' -f1 /proc/uptime) $*"; }
status() { systemctl show agentbox --property=StatusText --value; }
# wait_for SECONDS PATTERN: until the unit's status is like it.
wait_for() {
    local until=$((SECONDS + $1)) now last=
    while [ $SECONDS -lt $until ]; do
        now=$(status)
        [ "$now" = "$last" ] || say "status $now"
        last=$now
        # shellcheck disable=SC2254  # it is a pattern
        case $now in $2) return 0 ;; esac
        sleep 0.1
    done
    return 1
}
# turns [PATTERN]: how many turns are in the journal whose line is like it.
turns() { agentbox transcripts list --json 2>/tmp/list.err | grep -c -e "${1:-.}"; }
# quiet: until the service has done what it does when it is idle, so that no sound is lost for its sake.
quiet() {
    local before now n=0
    before=$(systemctl show agentbox --property=CPUUsageNSec --value)
    while [ $n -lt 40 ]; do
        sleep 10
        now=$(systemctl show agentbox --property=CPUUsageNSec --value)
        say "uses $(((now - before) / 100000000)) % of a core"
        [ $((now - before)) -lt 3500000000 ] && return 0
        before=$now
        n=$((n + 1))
    done
}
# speak NAME: say the command until it is done, five times at most. Emulation loses parts of the sound at times.
speak() {
    local try before deeds until
    deeds=$(turns '"tool_state": "done"')
    for try in 1 2 3 4 5; do
        before=$(turns)
        say "speaks $1 $try"
        nice -n -10 timeout 60 aplay -q -D hw:0,0 /mnt/project/command.wav || say "aplay failed"
        say "spoken $1 $try"
        until=$((SECONDS + 150))
        while [ $SECONDS -lt $until ] && [ "$(turns)" = "$before" ]; do sleep 2; done
        sleep 5
        agentbox transcripts list --limit 1
        [ "$(turns '"tool_state": "done"')" -gt "$deeds" ] && say "acted $1" && return 0
    done
    say "deaf $1"
    cat /tmp/list.err
    return 1
}

say booted
modprobe snd-aloop
say "card $(arecord -l | grep -c 'device 1')"
mkdir -p /etc/agentbox /var/lib/private/agentbox
chmod 0700 /var/lib/private
cp -r /mnt/project/models /var/lib/private/agentbox/
cat >/etc/agentbox/config.yaml <<'Y'
activation: {mode: always}
audio: {input_device: "(hw:0,1)", sounds: false}
speech: {verbosity: sounds}
Y
cp /mnt/project/unit.service /etc/systemd/system/agentbox.service
# Emulation is slow: only the limits of time are wider.
mkdir -p /etc/systemd/system/agentbox.service.d
printf '[Service]\nTimeoutStartSec=15min\nWatchdogSec=%s\n' "$(grep -q '^WatchdogSec=' /mnt/project/unit.service && echo 300 || echo 0)" \
    >/etc/systemd/system/agentbox.service.d/slow.conf
systemctl daemon-reload
say starting
systemctl start agentbox || { systemctl status agentbox --no-pager; journalctl -u agentbox --no-pager | tail -50; }
say ready
pid=$(systemctl show agentbox --property=MainPID --value)
agentbox devices
wait_for 300 'listening*' && say listening
systemctl show agentbox --property=DynamicUser,DevicePolicy,DeviceAllow,ProtectSystem,SupplementaryGroups,SystemCallFilter --no-pager | cut -c1-200
grep -E '^(Uid|Groups|CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status"
say "open $(readlink /proc/"$pid"/fd/* | grep /dev/snd/pcm | tr '\n' ' ')"
quiet
speak first
say unbinding
echo snd_aloop.0 >$driver/unbind & # returns only when nobody holds the card any more
wait_for 120 '[!l]*' && say missed
wait
say "card gone, $(arecord -l 2>/dev/null | grep -c 'device 1') left"
sleep 5
say "before bind: $(status)"
echo snd_aloop.0 >$driver/bind
say bound
wait_for 120 'listening*' && say hears
quiet
speak second
agentbox transcripts list
agentbox status 2>/dev/null | head -40
systemctl show agentbox --property=NRestarts,MemoryCurrent,ActiveState,CPUUsageNSec
echo "--- the unit's log"
journalctl -u agentbox --no-pager -o short-monotonic | tail -60
say end
sync
systemctl poweroff --force --force
