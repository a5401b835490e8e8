#!/bin/sh
# The first process of a guest whose power is cut: power.py and nothing else.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1
/opt/agentbox/bin/python3 /mnt/project/guest/power.py
echo "ended $?"
sleep 1000
