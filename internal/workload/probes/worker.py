# Healthy when this very worker answers through the broker, and a process of its pool takes a task:
# the worker's main process answers also when its pool hangs. The task is one of Celery's own, in
# a queue of its own, so a long queue does not stand before it. A pool that is full takes it later;
# it is healthy while each of its tasks is younger than the longest that the app has. The app's own
# code is not loaded: the probe must fit beside the worker in its memory. A worker that still
# starts is asked again until it answers.
import os
import sys
import time

from celery import Celery

node, longest = sys.argv[1], float(sys.argv[2])
task, queue = "celery.accumulate", "probe." + node
ends = time.monotonic() + 8
fault = "the worker does not answer"

probe = Celery(broker=os.environ["REDIS_URL"])
probe.conf.broker_transport_options = {"global_keyprefix": os.environ["CELERY_BROKER_KEY_PREFIX"]}


def ask(command, **arguments):
    while time.monotonic() < ends:
        for reply in probe.control.broadcast(command, arguments=arguments, destination=[node], reply=True, timeout=1):
            return reply[node]
    sys.exit(fault)


def taken():
    return ask("stats")["total"].get(task, 0)


def full():
    running = ask("active")
    return len(running) >= processes and all(time.time() - t["time_start"] < longest for t in running)


stats = ask("stats")
before, processes = stats["total"].get(task, 0), stats["pool"]["max-concurrency"]
fault = "no process of the worker's pool takes a task"
ask("add_consumer", queue=queue)
probe.send_task(task, queue=queue, ignore_result=True, expires=30)
while taken() == before and not full():
    time.sleep(0.1)
