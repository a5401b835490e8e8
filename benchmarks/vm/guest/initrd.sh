#!/bin/busybox sh
# shellcheck shell=dash
# Loads what the disks need, and starts the root disk's init: systemd, or the one named by `rig.init=` on the command line.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in $($b ls /modules); do $b insmod "/modules/$module"; done
n=0
while [ ! -b /dev/vdb ] && [ $n -lt 100 ]; do
    $b sleep 0.1
    n=$((n + 1))
done
init=/sbin/init
for word in $($b cat /proc/cmdline); do
    case $word in rig.init=*) init=${word#rig.init=} ;; esac
done
mode=rw
[ "$init" = /sbin/init ] || mode=ro
$b mount -t ext4 -o $mode /dev/vda /root
$b mount -t ext4 -o ro /dev/vdb /root/mnt/project
$b mount --move /dev /root/dev
$b mount --move /proc /root/proc
$b mount --move /sys /root/sys
exec $b switch_root /root "$init"
