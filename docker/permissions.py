"""Runs what `ckan datastore set-permissions` prints, as the owner of the DataStore's database."""

from __future__ import annotations

import os
import sys

import psycopg2

# \connect is a command of psql; the connection is to that database already.
sql = "".join(line for line in sys.stdin if not line.startswith("\\connect"))
with psycopg2.connect(os.environ["CKAN_DATASTORE_WRITE_URL"]) as connection:
    connection.cursor().execute(sql)
