#!/bin/sh
# Roles and databases of CKAN and its DataStore, made once by the postgres image.
set -eu
psql -v ON_ERROR_STOP=1 -v ckan="$CKAN_DB_PASSWORD" -v datastore="$DATASTORE_READ_PASSWORD" \
    --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE ckan LOGIN PASSWORD :'ckan';
CREATE ROLE datastore LOGIN PASSWORD :'datastore';
CREATE DATABASE ckan OWNER ckan;
CREATE DATABASE datastore OWNER ckan;
SQL
