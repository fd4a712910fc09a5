"""What Docker runs inside the container for its HEALTHCHECK. Usage: healthcheck.py PORT."""

import sys
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=1.0)
connection.request("GET", "/livez")
sys.exit(0 if connection.getresponse().status == 200 else 1)
