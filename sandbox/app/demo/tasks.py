import time

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

from demo.models import Job


@shared_task
def work(job_id, seconds=0):
    time.sleep(seconds)
    job = Job.objects.get(pk=job_id)
    job.answer, job.done = job.text.upper(), timezone.now()
    job.save()
    return job.answer


@shared_task(ignore_result=True)
def tick():
    cache.set("tick", timezone.now().isoformat())
