import os

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods
from django_redis import get_redis_connection

from demo.models import Job
from demo.tasks import work


@require_GET
def index(request):
    """Says what the app sees of a request."""
    return JsonResponse(
        {
            "app": os.environ["ALORIG_APP"],
            "url": request.build_absolute_uri(),
            "client": request.headers.get("X-Real-IP"),
            "tick": cache.get("tick"),
            "version": os.environ.get("DEMO_VERSION"),
        }
    )


@require_GET
def health(request):
    if settings.FAULT == "sick":
        return HttpResponse("unavailable", status=503)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        get_redis_connection().ping()
    except Exception as problem:  # whatever it is, this container cannot work
        print(f"unhealthy: {type(problem).__name__}", flush=True)
        return HttpResponse("unavailable", status=503)
    return HttpResponse("ok")


@require_http_methods(["GET", "POST"])
def jobs(request):
    """Keeps what is POSTed as text; with seconds, queues a task that takes so long."""
    if request.method == "GET":
        return JsonResponse({"jobs": Job.objects.count(), "texts": Job.objects.values("text").distinct().count()})
    job = Job.objects.create(text=request.POST.get("text", "hello"))
    if "seconds" not in request.POST:
        return JsonResponse({"job": job.pk}, status=201)
    task = work.delay(job.pk, float(request.POST["seconds"]))
    return JsonResponse({"job": job.pk, "task": task.id}, status=202)


@require_GET
def job(request, pk):
    found = get_object_or_404(Job, pk=pk)
    return JsonResponse({"job": found.pk, "answer": found.answer, "done": found.done})
