# Healthy when this very worker answers a ping that travels through the broker. The
# app's own code is not loaded: the probe must fit beside the worker in its memory. An update
# that waits for the worker asks again and again, so it wants each answer sooner.
import os
import sys

from celery import Celery

probe = Celery(broker=os.environ["REDIS_URL"])
probe.conf.broker_transport_options = {"global_keyprefix": os.environ["CELERY_BROKER_KEY_PREFIX"]}
patience = float(os.environ.get("ALORIG_PROBE_SECONDS", 8))
sys.exit(0 if probe.control.ping(destination=[sys.argv[1]], timeout=patience) else 1)
