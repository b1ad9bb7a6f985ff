# Healthy when GET PATH on the container's own port answers 200. The host is one
# Django allows; the forwarded scheme keeps it from redirecting to HTTPS.
import http.client
import sys

port, host, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
connection.request("GET", path, headers={"Host": host, "X-Forwarded-Proto": "https"})
sys.exit(0 if connection.getresponse().status == 200 else 1)
