#!/bin/sh
# Under systemd: does what `rig.script=` on the kernel's command line names, a file in the project's folder `guest`.
# shellcheck disable=SC2013  # words it is
for word in $(cat /proc/cmdline); do
    case $word in rig.script=*) script=${word#rig.script=} ;; esac
done
exec /bin/bash "/mnt/project/guest/$script" >/dev/ttyS1 2>&1
