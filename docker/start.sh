#!/bin/sh
# Starts one of the processes of the image: migrate, which ends, web, worker or schedule. Addresses come from the
# CKAN_* variables that CKAN reads itself; what it does not read is written into ckan.ini here.
set -eu
ckan config-tool "$CKAN_INI" \
    "SECRET_KEY=$SECRET_KEY" \
    "WTF_CSRF_SECRET_KEY=$SECRET_KEY" \
    "api_token.jwt.encode.secret=string:$SECRET_KEY" \
    "api_token.jwt.decode.secret=string:$SECRET_KEY" \
    "SESSION_COOKIE_SECURE=$COOKIE_SECURE" \
    "REMEMBER_COOKIE_SECURE=$COOKIE_SECURE"
case $1 in
    migrate)
        ckan db init
        ckan db upgrade -p satudata_trenggalek
        ckan datastore set-permissions | python permissions.py
        ;;
    web)
        # Threads: a slow upload neither blocks a process nor is ended by the timeout.
        exec gunicorn --bind 0.0.0.0:5000 --workers 2 --threads 4 --timeout 120 \
            --worker-tmp-dir /dev/shm --chdir deploy wsgi:application
        ;;
    worker) exec ckan jobs worker ;;
    schedule)
        # The commands of deploy/crontab; the image has no cron.
        minute=0
        while :; do
            ckan satudata due || true
            if [ $((minute % 5)) = 0 ]; then
                # From 08.00 WIB on; the same reminder is not queued twice.
                case $(date -u +%H) in 01) ckan satudata remind || true ;; esac
            fi
            if [ $((minute % 10)) = 0 ]; then ckan satudata reconcile --fix || true; fi
            minute=$((minute + 1))
            sleep 60
        done
        ;;
esac
