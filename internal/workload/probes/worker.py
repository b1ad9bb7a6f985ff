# Healthy when this very worker answers a ping that travels through the broker. The
# app's own code is not loaded: the probe must fit beside the worker in its memory.
import os
import sys

from celery import Celery

probe = Celery(broker=os.environ["REDIS_URL"])
probe.conf.broker_transport_options = {"global_keyprefix": os.environ["CELERY_BROKER_KEY_PREFIX"]}
sys.exit(0 if probe.control.ping(destination=[sys.argv[1]], timeout=8) else 1)
