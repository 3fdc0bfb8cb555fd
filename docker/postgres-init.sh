#!/bin/sh
# Roles and databases of CKAN and its DataStore, made once by the postgres image.
set -eu
psql -v ON_ERROR_STOP=1 -v owner="$CKAN_OWNER_PASSWORD" -v ckan="$CKAN_DB_PASSWORD" \
    -v datastore="$DATASTORE_READ_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE ckan_owner LOGIN PASSWORD :'owner';
CREATE ROLE ckan LOGIN PASSWORD :'ckan';
CREATE ROLE datastore LOGIN PASSWORD :'datastore';
CREATE DATABASE ckan OWNER ckan_owner;
CREATE DATABASE datastore OWNER ckan;
REVOKE CONNECT ON DATABASE ckan FROM PUBLIC, datastore;
SQL
PGOPTIONS='-c search_path=pg_catalog' psql --username "$POSTGRES_USER" -d ckan -f /satudata/roles.sql
