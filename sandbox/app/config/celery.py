import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.conf.broker_url = os.environ["REDIS_URL"]
app.conf.broker_transport_options = {
    "global_keyprefix": os.environ["CELERY_BROKER_KEY_PREFIX"],
    "visibility_timeout": int(os.environ["CELERY_VISIBILITY_TIMEOUT"]),
}
# Celery knows a prefix for results from 5.3 on; this backend also serves older ones.
app.conf.result_backend = "config.results:PrefixedRedis+" + os.environ["REDIS_URL"]
app.conf.result_backend_transport_options = {"global_keyprefix": os.environ["CELERY_RESULT_KEY_PREFIX"]}
app.conf.result_expires = 600
app.conf.task_acks_late = True
app.conf.beat_schedule = {"tick": {"task": "demo.tasks.tick", "schedule": 30}}
app.autodiscover_tasks(["demo"])
